//! The addresses to which deliveries may be sent. Addresses are checked when they are dialled, not when the
//! configuration is read, because a name may resolve to another address by then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Metadata services of clouds without a link-local address. They hand out credentials.
const METADATA: [IpAddr; 6] = [
    // AWS: instances, and the agent of EKS Pod Identity.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    // Google.
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    // Alibaba, Oracle, Azure.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

/// The addresses that the operator allows in addition to public and private ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) loopback: bool,
    pub(super) link_local: bool,
}

impl Allowed {
    /// Returns the reason why an address is refused; `None` if it is allowed.
    pub(super) fn refusal(self, address: IpAddr) -> Option<String> {
        let (kind, word) = meanings(address).into_iter().find_map(|meant| self.kind(meant))?;
        Some(format!("{address} is {kind}; hint: if that is meant, write `allow: [{word}]`"))
    }

    /// Returns the kind of a refused address, and the configuration word that allows it.
    fn kind(self, address: IpAddr) -> Option<(&'static str, &'static str)> {
        if is_loopback(address) && !self.loopback {
            Some(("an address of this machine", "loopback"))
        } else if METADATA.contains(&address) && !self.link_local {
            Some(("the address of a cloud's metadata service", "link-local"))
        } else if is_link_local(address) && !self.link_local {
            Some(("a link-local address", "link-local"))
        } else {
            None
        }
    }

    /// Returns the reason why a URL is refused whose host is an IP address or a name of this machine (`localhost` and
    /// names below it: RFC 6761, section 6.3). Other names are checked when they are resolved.
    pub(super) fn refusal_of_url(self, url: &Url) -> Option<String> {
        match url.host()? {
            Host::Ipv4(address) => self.refusal(address.into()),
            Host::Ipv6(address) => self.refusal(address.into()),
            Host::Domain(name) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                let is_local = name == "localhost" || name.ends_with(".localhost");
                is_local.then(|| self.refusal(Ipv4Addr::LOCALHOST.into())).flatten()
            }
        }
    }
}

/// Returns an address and all IPv4 addresses that it embeds for some form of translation or tunnel.
fn meanings(address: IpAddr) -> Vec<IpAddr> {
    let mut meanings = vec![address];
    if let IpAddr::V6(v6) = address {
        meanings.extend(embedded(v6).into_iter().map(|octets| IpAddr::V4(octets.into())));
    }
    meanings
}

fn embedded(address: Ipv6Addr) -> Vec<[u8; 4]> {
    match address.octets() {
        // IPv4-mapped (RFC 4291), and IPv4-translated (SIIT, RFC 2765).
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
        | [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, a, b, c, d] => vec![[a, b, c, d]],
        // The deprecated IPv4-compatible `::a.b.c.d` (RFC 4291).
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] if (a, b, c) != (0, 0, 0) => {
            vec![[a, b, c, d]]
        }
        // NAT64 with the well-known prefix (RFC 6052).
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => vec![[a, b, c, d]],
        // NAT64 with a local-use prefix (RFC 8215), of 48, 56, 64 or 96 bits: in all but the last the ninth
        // byte is skipped (RFC 6052, section 2.2).
        [0, 0x64, 0xff, 0x9b, 0, 1, a, b, _, c, d, e, f, g, h, i] => {
            let all = [[a, b, c, d], [b, c, d, e], [c, d, e, f], [f, g, h, i]];
            // Drops zeros, which stand where another prefix length has no address.
            all.into_iter().filter(|octets| *octets != [0; 4]).collect()
        }
        // 6to4 (RFC 3056).
        [0x20, 0x02, a, b, c, d, ..] => vec![[a, b, c, d]],
        // Teredo (RFC 4380): the server's address, and the client's address with all bits inverted.
        [0x20, 0x01, 0, 0, a, b, c, d, _, _, _, _, e, f, g, h] => {
            vec![[a, b, c, d], [!e, !f, !g, !h]]
        }
        // ISATAP (RFC 5214).
        [.., 0 | 2, 0, 0x5e, 0xfe, a, b, c, d] => vec![[a, b, c, d]],
        _ => Vec::new(),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

type Answer = std::io::Result<Vec<SocketAddr>>;
/// Resolves a name, anew for each connection.
type Lookup = dyn Fn(String) -> BoxFuture<'static, Answer> + Send + Sync;

/// Resolves names and returns only allowed addresses. Exactly these addresses are dialled: a name that resolves
/// to other addresses a moment later is checked again.
pub(super) struct Resolver {
    allowed: Allowed,
    lookup: Arc<Lookup>,
}

impl Resolver {
    /// Makes a resolver that uses the system's resolver.
    pub(super) fn new(allowed: Allowed) -> Self {
        let lookup = |name: String| -> BoxFuture<'static, Answer> {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
        };
        Self { allowed, lookup: Arc::new(lookup) }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, looking) = (self.allowed, (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let found = looking.await?;
            let refusal = found.iter().find_map(|address| allowed.refusal(address.ip()));
            let usable: Vec<SocketAddr> =
                found.into_iter().filter(|a| allowed.refusal(a.ip()).is_none()).collect();
            match refusal {
                Some(refusal) if usable.is_empty() => {
                    Err(format!("{} is not allowed: {refusal}", name.as_str()).into())
                }
                _ => Ok(Box::new(usable.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_and_link_local_ones_must_be_allowed() {
        let strict = Allowed { loopback: false, link_local: false };
        for refused in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "fd00:ec2::23",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "::ffff:100.100.100.200",
            "::ffff:0:127.0.0.1",
            "::ffff:0:a9fe:a9fe",
            "64:ff9b:1:7f00:0:100::",
            "64:ff9b:1:a9:fe:a9fe::",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:ab::a83f:8110",
            "2001:0:7f00:1::",
            "2001:0:808:808::5601:5601",
            "fe80::5efe:1.2.3.4",
            "2001:db8::5efe:127.0.0.1",
        ] {
            assert!(strict.refusal(refused.parse().unwrap()).is_some(), "{refused}");
        }
        for fine in [
            "10.0.0.1",
            "192.168.1.1",
            "8.8.8.8",
            "fd00::1",
            "2001:db8::1",
            "64:ff9b::808:808",
            "64:ff9b:1::808:808",
            "2001:0:808:808::f7f7:f7f7",
        ] {
            assert!(strict.refusal(fine.parse().unwrap()).is_none(), "{fine}");
        }
        let loose = Allowed { loopback: true, link_local: false };
        assert!(loose.refusal("::ffff:127.0.0.1".parse().unwrap()).is_none());
        assert!(loose.refusal("169.254.169.254".parse().unwrap()).is_some());
    }

    #[test]
    fn odd_spellings_of_an_address_in_a_url_are_seen_through() {
        let strict = Allowed { loopback: false, link_local: false };
        for url in
            ["http://127.1/", "http://2130706433/", "http://[::ffff:7f00:1]/", "http://0x7f.1/"]
        {
            assert!(strict.refusal_of_url(&Url::parse(url).unwrap()).is_some(), "{url}");
        }
    }

    #[test]
    fn names_of_this_machine_are_refused_without_resolving_them() {
        let strict = Allowed { loopback: false, link_local: false };
        let loose = Allowed { loopback: true, link_local: false };
        for url in ["http://localhost:80/", "http://LOCALHOST./", "http://hook.localhost/"] {
            let url = Url::parse(url).unwrap();
            assert!(strict.refusal_of_url(&url).is_some(), "{url}");
            assert!(loose.refusal_of_url(&url).is_none(), "{url}");
        }
        let other = Url::parse("http://notlocalhost/").unwrap();
        assert!(strict.refusal_of_url(&other).is_none());
    }

    #[tokio::test]
    async fn a_name_that_means_something_else_a_moment_later_is_judged_anew() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = asked.clone();
        // First an address that is never assigned (RFC 5737), then loopback.
        let lookup = move |_| -> BoxFuture<'static, Answer> {
            let first = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            let address = if first { [192, 0, 2, 1] } else { [127, 0, 0, 1] };
            Box::pin(async move { Ok(vec![SocketAddr::from((address, 0))]) })
        };
        let allowed = Allowed { loopback: false, link_local: false };
        // Another test may have installed the same provider already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder()
            .dns_resolver(Resolver { allowed, lookup: Arc::new(lookup) })
            .connect_timeout(std::time::Duration::from_millis(200))
            .no_proxy()
            .build()
            .unwrap();
        for _ in 0..2 {
            let url = format!("http://rebinding.example:{port}/");
            assert!(client.post(url).send().await.is_err());
        }
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 2, "asked for each connection");
        assert!(listener.accept().is_err(), "nobody came");
    }
}
