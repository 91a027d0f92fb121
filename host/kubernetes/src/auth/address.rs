//! Parses and displays server addresses that users configure.

use url::Url;

/// Parses the address in a variable; without a scheme, `https` is assumed. The error does not contain the
/// variable's text, which may hold a password.
pub(super) fn read(variable: &str, text: &str) -> Result<Url, String> {
    let text = text.trim();
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    Url::parse(&whole)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            format!("{variable} is no address of a server; hint: write it as https://HOST:PORT")
        })
}

/// Returns an address that is safe to display: without user, password and query.
pub(super) fn shown(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else { return "an address that is no URL".to_owned() };
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        return "an address without a host".to_owned();
    }
    url.set_query(None);
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_https() {
        let read = |text| read("VAULT_ADDR", text).map(|url| shown(url.as_str()));
        assert_eq!(read("vault:8200").as_deref(), Ok("https://vault:8200"));
        assert_eq!(read("http://vault/x/").as_deref(), Ok("http://vault/x"));
        assert_eq!(read("https://me:pass@vault/").as_deref(), Ok("https://vault"));
        assert_eq!(read("[::1]:6443").as_deref(), Ok("https://[::1]:6443"));
        let refused = "VAULT_ADDR is no address of a server; hint: write it as https://HOST:PORT";
        assert_eq!(read("ftp://vault").unwrap_err(), refused);
        assert_eq!(read("https://me:pass@").unwrap_err(), refused);
    }
}
