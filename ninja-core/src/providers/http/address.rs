//! Which addresses a key may go to, and which may be stored.

use std::net::IpAddr;

use reqwest::Url;

/// Says what is wrong with an address that a request gives. Those that a file or a variable gives are the operator's business.
///
/// Any host may be named, this machine too: models are served there. Of link-local hosts only the name as a number is known.
pub(super) fn check_stored(url: &Url, has_key: bool) -> Result<(), &'static str> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the base_url holds a name or password; what is secret goes into api_key");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            "the base_url of a stored provider has no query (`?`) and no fragment (`#`): it is listed as it is, and \
                    what is secret goes into api_key",
        );
    }
    if is_link_local(url) {
        return Err(
            "the base_url is link-local (169.254.0.0/16, fe80::/10), where machines are told their own secrets",
        );
    }
    if has_key && is_in_clear(url) {
        return Err("the key would go over http, where others can read it: use https, or an address of this machine");
    }
    Ok(())
}

/// Returns whether what goes there can be read on the way.
pub(super) fn is_in_clear(url: &Url) -> bool {
    url.scheme() == "http" && !is_loopback(url)
}

/// Returns whether an address is this machine's own.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str() == Some("localhost") || ip(url).is_some_and(|ip| ip.is_loopback())
}

/// Machines in a cloud are told their own secrets there, whoever asks.
fn is_link_local(url: &Url) -> bool {
    match ip(url) {
        Some(IpAddr::V4(ip)) => ip.is_link_local(),
        Some(IpAddr::V6(ip)) => ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_link_local()),
        None => false,
    }
}

fn ip(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, has_key: bool) -> Result<(), &'static str> {
        check_stored(&Url::parse(url).unwrap(), has_key)
    }

    #[test]
    fn an_address_that_is_stored_holds_and_betrays_no_secret() {
        for (url, wanted) in [
            ("https://me:pw@h/v1", "holds a name or password"),
            ("https://me@h/v1", "holds a name or password"),
            ("https:\\\\me:pw@h/v1", "holds a name or password"),
            ("https://h/v1?key=1", "no query"),
            ("https://h/v1#key", "no fragment"),
            ("http://169.254.169.254/v1", "link-local"),
            ("http://2852039166/v1", "link-local"),
            ("http://[fe80::1]/v1", "link-local"),
            ("http://[::ffff:169.254.169.254]/v1", "link-local"),
            ("http://h/v1", "over http"),
            ("http://10.0.0.1/v1", "over http"),
        ] {
            assert!(check(url, true).unwrap_err().contains(wanted), "{url}");
        }
        for url in ["https://h/v1", "http://localhost:1/v1", "http://127.0.0.1:1/v1", "http://[::1]:1/v1"] {
            assert_eq!(check(url, true), Ok(()), "{url}");
        }
        assert_eq!(check("http://10.0.0.1/v1", false), Ok(()), "without a key");
    }
}
