"""Drives the simulator with the official Python client, one printed line per step.

Usage: official_client.py BASE_URL SERVER_KEY
Ends with exit code 1 at the first step that does not do what Midtrans documents.
"""

import hashlib
import http.server
import json
import queue
import sys
import threading
import urllib.request
import uuid

import midtransclient
from midtransclient.config import ApiConfig
from midtransclient.error_midtrans import MidtransAPIError

BASE, KEY = sys.argv[1], sys.argv[2]

# The client has no setting for its hosts; they are class attributes.
ApiConfig.CORE_SANDBOX_BASE_URL = BASE
ApiConfig.SNAP_SANDBOX_BASE_URL = BASE + "/snap/v1"

core = midtransclient.CoreApi(is_production=False, server_key=KEY, client_key="client")
snap = midtransclient.Snap(is_production=False, server_key=KEY, client_key="client")
received = queue.Queue()


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes notifications and answers 200."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        received.put(json.loads(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args):
        """Says nothing: the steps are the only output."""


def control(path, body=None):
    """Asks the simulator to play the customer."""
    request = urllib.request.Request(
        BASE + path, data=json.dumps(body or {}).encode(), method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def order():
    """A new order id."""
    return "py-" + uuid.uuid4().hex[:16]


def charge(order_id, payment_type, amount=48500, **parts):
    """One charge through the official client."""
    details = {"order_id": order_id, "gross_amount": amount}
    return core.charge({"payment_type": payment_type, "transaction_details": details, **parts})


def notified(order_id, status):
    """The next notification of this order with this status."""
    while True:
        body = received.get(timeout=20)
        if (body["order_id"], body["transaction_status"]) == (order_id, status):
            return body


def expect(value, wanted):
    """Fails the step when the value is another."""
    if value != wanted:
        raise AssertionError(f"expected {wanted!r}, got {value!r}")


def refused(code, call):
    """Fails the step unless the client raises with this body code."""
    try:
        call()
    except MidtransAPIError as error:
        expect(error.api_response_dict.get("status_code"), code)
        return
    raise AssertionError(f"expected the client to raise {code}")


def charge_every_method():
    token = core.card_token({"client_key": "client", "card_number": "4811111111111114"})
    expect(charge(order(), "gopay")["status_code"], "201")
    expect(charge(order(), "qris")["acquirer"], "gopay")
    expect(charge(order(), "shopeepay")["transaction_status"], "pending")
    for bank in ("bca", "bni", "bri", "cimb"):
        answer = charge(order(), "bank_transfer", bank_transfer={"bank": bank})
        expect(answer["va_numbers"][0]["bank"], bank)
    permata = charge(order(), "bank_transfer", bank_transfer={"bank": "permata"})
    expect(permata["permata_va_number"].isdigit(), True)
    expect("bill_key" in charge(order(), "echannel", echannel={"bill_info1": "Payment"}), True)
    expect("payment_code" in charge(order(), "cstore", cstore={"store": "indomaret"}), True)
    card = charge(order(), "credit_card", credit_card={"token_id": token["token_id"]})
    expect((card["transaction_status"], card["fraud_status"]), ("capture", "accept"))


def charge_refuses_duplicates_and_bad_sums():
    order_id = order()
    charge(order_id, "gopay")
    refused("406", lambda: charge(order_id, "gopay"))
    items = [{"id": "a", "name": "a", "price": 1, "quantity": 2}]
    refused("400", lambda: charge(order(), "gopay", item_details=items))


def snap_page():
    order_id = order()
    details = {"order_id": order_id, "gross_amount": 150000}
    page = snap.create_transaction({"transaction_details": details})
    expect(page["token"] in page["redirect_url"], True)
    refused("404", lambda: core.transactions.status(order_id))
    control(f"/sim/snap/{page['token']}/pick", {"payment_type": "gopay"})
    expect(snap.transactions.status(order_id)["transaction_status"], "pending")


def status():
    order_id = order()
    made = charge(order_id, "gopay")
    control(f"/sim/orders/{order_id}/pay")
    by_order = core.transactions.status(order_id)
    expect(by_order["transaction_status"], "settlement")
    by_id = core.transactions.status(made["transaction_id"])
    expect(by_id["gross_amount"], "48500.00")
    refused("404", lambda: core.transactions.status("no-such-order"))


def cancel():
    order_id = order()
    first = charge(order_id, "gopay")
    expect(core.transactions.cancel(order_id)["transaction_status"], "cancel")
    refused("412", lambda: core.transactions.cancel(order_id))
    again = charge(order_id, "gopay")
    expect(again["transaction_id"] != first["transaction_id"], True)


def expire():
    order_id = order()
    charge(order_id, "bank_transfer", bank_transfer={"bank": "bca"})
    answer = core.transactions.expire(order_id)
    expect((answer["status_code"], answer["transaction_status"]), ("407", "expire"))
    expect(core.transactions.status(order_id)["status_code"], "407")


def refund():
    order_id = order()
    charge(order_id, "gopay")
    control(f"/sim/orders/{order_id}/pay")
    part = core.transactions.refund(order_id, {"refund_key": "r-1", "amount": 8500})
    expect(part["transaction_status"], "partial_refund")
    refused("406", lambda: core.transactions.refund(order_id, {"refund_key": "r-1", "amount": 1}))
    refused("414", lambda: core.transactions.refund(order_id, {"refund_key": "r-2", "amount": 99999}))
    rest = core.transactions.refundDirect(order_id, {"refund_key": "r-3", "amount": 40000})
    expect(rest["transaction_status"], "refund")


def challenge():
    order_id = order()
    card = {"token_id": "451111-1117-demo"}
    expect(charge(order_id, "credit_card", credit_card=card)["fraud_status"], "challenge")
    expect(core.transactions.approve(order_id)["fraud_status"], "accept")


def notification():
    order_id = order()
    charge(order_id, "gopay")
    control(f"/sim/orders/{order_id}/pay")
    body = notified(order_id, "settlement")
    signed = body["order_id"] + body["status_code"] + body["gross_amount"] + KEY
    expect(body["signature_key"], hashlib.sha512(signed.encode()).hexdigest())
    confirmed = core.transactions.notification(body)
    expect(confirmed["transaction_status"], "settlement")
    expect(confirmed["order_id"], order_id)


def wrong_key():
    other = midtransclient.CoreApi(is_production=False, server_key="wrong", client_key="x")
    refused("401", lambda: other.transactions.status("any"))


STEPS = [
    charge_every_method,
    charge_refuses_duplicates_and_bad_sums,
    snap_page,
    status,
    cancel,
    expire,
    refund,
    challenge,
    notification,
    wrong_key,
]


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    control("/sim/notify-url", {"url": f"http://127.0.0.1:{server.server_port}/notify"})
    for step in STEPS:
        step()
        print(f"python {step.__name__} ok", flush=True)


main()
