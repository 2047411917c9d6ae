//! Whether the server keys can be right. A key is never printed.

use shared::domain::ServerKeys;

use super::Keys;
use super::finding::Findings;

/// How a sandbox key begins (`midtrans.md` section 3).
const SANDBOX_KEY: &str = "SB-Mid-server-";
/// How a production key begins.
const PRODUCTION_KEY: &str = "Mid-server-";
/// Midtrans' own hosts; another one is a simulator or a proxy, about which nothing is known.
const MIDTRANS_DOMAIN: &str = ".midtrans.com";

const MEND: &str = "set MIDTRANS_SERVER_KEY to the Server Key of the dashboard's Settings > Access \
                    Keys, in every service";

pub(super) fn look(settings: &Keys, findings: &mut Findings) {
    let Some(setting) = settings
        .midtrans_server_key
        .as_ref()
        .filter(|key| !key.expose().is_empty())
    else {
        return findings.add("keys_missing", "MIDTRANS_SERVER_KEY is not set", MEND);
    };
    let keys: ServerKeys = match setting.expose().parse() {
        Ok(keys) => keys,
        Err(error) => {
            return findings.add(
                "keys_malformed",
                format!("MIDTRANS_SERVER_KEY: {error}"),
                MEND,
            );
        }
    };
    let host = host(&settings.midtrans_api_url);
    let midtrans = host.ends_with(MIDTRANS_DOMAIN);
    let sandbox = host.contains(".sandbox.");
    for (index, key) in keys.iter().enumerate() {
        let (position, key) = (index + 1, key.secret());
        if !key.starts_with(SANDBOX_KEY) && !key.starts_with(PRODUCTION_KEY) {
            findings.add(
                "keys_implausible",
                format!("Key {position} does not begin as a server key does (Mid-server-…)"),
                MEND,
            );
        } else if midtrans && sandbox != key.starts_with(SANDBOX_KEY) {
            let (has, wants) = match sandbox {
                true => ("production", "sandbox"),
                false => ("sandbox", "production"),
            };
            findings.add(
                "keys_of_another_environment",
                format!("Key {position} is a {has} key, but MIDTRANS_API_URL is {wants}"),
                "set MIDTRANS_API_URL, MIDTRANS_SNAP_URL and MIDTRANS_SERVER_KEY of the same \
                 environment, in every service",
            );
        }
    }
}

/// The host of a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', ':', '?']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::config::Secret;

    const SANDBOX: &str = "https://api.sandbox.midtrans.com";
    const PRODUCTION: &str = "https://api.midtrans.com";

    fn codes(keys: Option<&str>, url: &str) -> String {
        let settings = Keys {
            midtrans_server_key: keys.map(|keys| Secret::new(keys.to_owned())),
            midtrans_api_url: url.to_owned(),
        };
        let mut findings = Findings::default();
        look(&settings, &mut findings);
        let text = serde_json::to_string(findings.all()).unwrap();
        assert!(!text.contains("9fQx2Lr7"), "a key is printed: {text}");
        let codes = findings.all().iter().map(|finding| {
            serde_json::to_value(finding).unwrap()["code"]
                .as_str()
                .unwrap()
                .to_owned()
        });
        codes.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn plausible_keys_are_no_finding() {
        assert_eq!(
            codes(Some("SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa"), SANDBOX),
            ""
        );
        assert_eq!(
            codes(Some("Mid-server-9fQx2Lr7, M1=Mid-server-b"), PRODUCTION),
            ""
        );
        assert_eq!(
            codes(Some("SB-Mid-server-9fQx2Lr7"), "http://127.0.0.1:9000"),
            ""
        );
    }

    #[test]
    fn each_defect_is_found() {
        assert_eq!(codes(None, SANDBOX), "keys_missing");
        assert_eq!(codes(Some(""), SANDBOX), "keys_missing");
        assert_eq!(
            codes(Some("SB-Mid-server-9fQx2Lr7 x"), SANDBOX),
            "keys_malformed"
        );
        assert_eq!(
            codes(Some("SB-Mid-client-9fQx2Lr7"), SANDBOX),
            "keys_implausible"
        );
        assert_eq!(
            codes(Some("SB-Mid-server-9fQx2Lr7"), PRODUCTION),
            "keys_of_another_environment"
        );
        assert_eq!(
            codes(Some("Mid-server-9fQx2Lr7"), SANDBOX),
            "keys_of_another_environment"
        );
    }
}
