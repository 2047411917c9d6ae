// Drives the simulator with the official Node client, one printed line per step.
//
// Usage: node official_client.js BASE_URL SERVER_KEY
// Ends with exit code 1 at the first step that does not do what Midtrans documents.
// The client is found through NODE_PATH, because it is not installed beside this file.
'use strict'

const assert = require('node:assert')
const crypto = require('node:crypto')
const http = require('node:http')

const midtrans = require('midtrans-client')
const ApiConfig = require('midtrans-client/lib/apiConfig')

const [base, key] = process.argv.slice(2)

// The client has no setting for its hosts; they are static properties.
ApiConfig.CORE_SANDBOX_BASE_URL = base
ApiConfig.SNAP_SANDBOX_BASE_URL = `${base}/snap/v1`

const options = { isProduction: false, serverKey: key, clientKey: 'client' }
const core = new midtrans.CoreApi(options)
const snap = new midtrans.Snap(options)
const received = []
let waiting = null

const receiver = http.createServer((request, response) => {
  let text = ''
  request.on('data', (part) => { text += part })
  request.on('end', () => {
    received.push(JSON.parse(text))
    response.end()
    if (waiting) waiting()
  })
})

async function control(path, body = {}) {
  const answer = await fetch(base + path, { method: 'POST', body: JSON.stringify(body) })
  assert.ok(answer.ok, `${path} answered ${answer.status}`)
  return answer.json()
}

function order() {
  return `js-${crypto.randomBytes(8).toString('hex')}`
}

function charge(orderId, paymentType, parts = {}) {
  return core.charge({
    payment_type: paymentType,
    transaction_details: { order_id: orderId, gross_amount: 48500 },
    ...parts
  })
}

async function notified(orderId, status) {
  const find = () => received.find((body) =>
    body.order_id === orderId && body.transaction_status === status)
  const late = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${status} for ${orderId}`)), 20000)
    waiting = () => {
      if (find()) {
        clearTimeout(timer)
        resolve()
      }
    }
    waiting()
  })
  await late
  return find()
}

async function refused(code, call) {
  await assert.rejects(call, (error) => {
    assert.equal(String(error.ApiResponse && error.ApiResponse.status_code), code)
    return true
  })
}

const steps = {
  async charge_every_method() {
    const token = await core.cardToken({ client_key: 'client', card_number: '4811111111111114' })
    assert.equal((await charge(order(), 'gopay')).status_code, '201')
    assert.equal((await charge(order(), 'qris')).acquirer, 'gopay')
    assert.equal((await charge(order(), 'shopeepay')).transaction_status, 'pending')
    for (const bank of ['bca', 'bni', 'bri', 'cimb']) {
      const answer = await charge(order(), 'bank_transfer', { bank_transfer: { bank } })
      assert.equal(answer.va_numbers[0].bank, bank)
    }
    const bill = await charge(order(), 'echannel', { echannel: { bill_info1: 'Payment' } })
    assert.ok(bill.bill_key)
    const shop = await charge(order(), 'cstore', { cstore: { store: 'alfamart' } })
    assert.ok(shop.payment_code)
    const card = await charge(order(), 'credit_card', { credit_card: { token_id: token.token_id } })
    assert.equal(card.transaction_status, 'capture')
  },

  async charge_refuses_duplicates_and_bad_sums() {
    const orderId = order()
    await charge(orderId, 'gopay')
    await refused('406', () => charge(orderId, 'gopay'))
    const items = [{ id: 'a', name: 'a', price: 1, quantity: 2 }]
    await refused('400', () => charge(order(), 'gopay', { item_details: items }))
  },

  async snap_page() {
    const orderId = order()
    const page = await snap.createTransaction({
      transaction_details: { order_id: orderId, gross_amount: 150000 }
    })
    assert.ok(page.redirect_url.includes(page.token))
    await refused('404', () => core.transaction.status(orderId))
    await control(`/sim/snap/${page.token}/pick`, { payment_type: 'gopay' })
    assert.equal((await snap.transaction.status(orderId)).transaction_status, 'pending')
  },

  async status() {
    const orderId = order()
    const made = await charge(orderId, 'gopay')
    await control(`/sim/orders/${orderId}/pay`)
    assert.equal((await core.transaction.status(orderId)).transaction_status, 'settlement')
    const byId = await core.transaction.status(made.transaction_id)
    assert.equal(byId.gross_amount, '48500.00')
    await refused('404', () => core.transaction.status('no-such-order'))
  },

  async cancel() {
    const orderId = order()
    const first = await charge(orderId, 'gopay')
    assert.equal((await core.transaction.cancel(orderId)).transaction_status, 'cancel')
    await refused('412', () => core.transaction.cancel(orderId))
    assert.notEqual((await charge(orderId, 'gopay')).transaction_id, first.transaction_id)
  },

  async expire() {
    const orderId = order()
    await charge(orderId, 'bank_transfer', { bank_transfer: { bank: 'bca' } })
    const answer = await core.transaction.expire(orderId)
    assert.equal(answer.status_code, '407')
    assert.equal((await core.transaction.status(orderId)).transaction_status, 'expire')
  },

  async refund() {
    const orderId = order()
    await charge(orderId, 'gopay')
    await control(`/sim/orders/${orderId}/pay`)
    const part = await core.transaction.refund(orderId, { refund_key: 'r-1', amount: 8500 })
    assert.equal(part.transaction_status, 'partial_refund')
    await refused('406', () => core.transaction.refund(orderId, { refund_key: 'r-1', amount: 1 }))
    const rest = await core.transaction.refundDirect(orderId, { refund_key: 'r-2', amount: 40000 })
    assert.equal(rest.transaction_status, 'refund')
  },

  async challenge() {
    const orderId = order()
    const card = { credit_card: { token_id: '451111-1117-demo' } }
    assert.equal((await charge(orderId, 'credit_card', card)).fraud_status, 'challenge')
    assert.equal((await core.transaction.deny(orderId)).transaction_status, 'deny')
  },

  async notification() {
    const orderId = order()
    await charge(orderId, 'gopay')
    await control(`/sim/orders/${orderId}/pay`)
    const body = await notified(orderId, 'settlement')
    const signed = body.order_id + body.status_code + body.gross_amount + key
    assert.equal(body.signature_key, crypto.createHash('sha512').update(signed).digest('hex'))
    const confirmed = await core.transaction.notification(body)
    assert.equal(confirmed.transaction_status, 'settlement')
    assert.equal(confirmed.order_id, orderId)
  },

  async wrong_key() {
    const other = new midtrans.CoreApi({ ...options, serverKey: 'wrong' })
    await refused('401', () => other.transaction.status('any'))
  }
}

async function main() {
  await new Promise((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  await control('/sim/notify-url', { url: `http://127.0.0.1:${receiver.address().port}/notify` })
  for (const [name, step] of Object.entries(steps)) {
    await step()
    console.log(`node ${name} ok`)
  }
  receiver.closeAllConnections()
  receiver.close()
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
