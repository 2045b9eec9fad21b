//! The catalogue of addresses by table, and servers on loopback that misbehave.

use std::{
    collections::VecDeque,
    io::{self, Write},
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;

use super::{
    client::FetchLimits,
    target::Target,
    test_server::{Reply, TestServer, page, response},
    *,
};

/// A name server that answers in order, and nothing after its last answer.
#[derive(Default)]
struct Answers {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Answers {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(parse).collect()), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Answers {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no answer")) })
    }
}

fn config(allow: &[&str]) -> EgressConfig {
    let allow = allow.iter().map(|target| AllowedTarget::try_from((*target).to_owned()).unwrap()).collect();
    EgressConfig { public: true, allow }
}

/// A client that may talk to these servers, with little time and little room.
fn client(allow: &[&str], resolver: Arc<Answers>) -> Egress {
    let limits =
        FetchLimits { total: Duration::from_secs(20), connect: Duration::from_secs(5), body_bytes: BODY_BYTES };
    Egress::with(config(allow), resolver, limits)
}

const BODY_BYTES: usize = 100_000;

async fn get(server: &TestServer) -> Result<Fetched, EgressError> {
    client(&[&server.address], Answers::new(&[])).fetch(&server.url("/"), Wanted::Text).await
}

#[test]
fn urls_are_refused_by_their_form() {
    for (rule, urls) in [
        ("loopback", &["http://127.0.0.1/", "http://127.1/", "http://0x7f000001/", "http://2130706433/"][..]),
        ("loopback", &["http://0177.0.0.1/", "http://0x7f.1", "https://127.0.0.1:8443/", "http:127.0.0.1"]),
        (
            "loopback",
            &["http://[::1]/", "http://[0:0:0:0:0:0:0:1]/", "http://１２７.０.０.１/", "http://127。0。0。1/"],
        ),
        ("loopback", &["http://%31%32%37.0.0.1/", "http:\\\\127.0.0.1\\", "HTTP://127.0.0.1", "///127.0.0.1"][..3]),
        ("IPv4-mapped", &["http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"]),
        ("loopback", &["http://[64:ff9b::7f00:1]/"]),
        ("6to4", &["http://[2002:7f00:1::]/"]),
        ("unspecified", &["http://0.0.0.0/", "http://0/", "http://[::]/"]),
        ("link-local", &["http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/"]),
        ("private", &["http://10.0.0.1/", "http://[fd00:ec2::254]/", "http://192.168.0.1:8080/"]),
        ("carrier-grade NAT", &["http://100.64.0.1/", "http://100.100.100.200/"]),
        ("cloud metadata", &["http://168.63.129.16/"]),
        ("names this machine", &["http://localhost/", "http://LOCALHOST:8080/", "http://a.localhost/"]),
        ("names this machine", &["http://metadata.google.internal/", "http://metadata/", "http://printer.local/"]),
        ("names this machine", &["http://metadata.goog/", "http://redis:6379/", "http://ⓛocalhost/"]),
        ("ends with a dot", &["http://localhost./", "http://127.0.0.1.x./", "http://example.com./"]),
        (
            "user name or password",
            &["http://a@127.0.0.1/", "http://example.com:80@127.0.0.1/", "http://:x@example.com"],
        ),
        ("are not fetched", &["file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "unix:/run/x.sock", "ftp://a.b/"]),
        ("are not fetched", &["data:text/html,x", "javascript:alert(1)", "view-source:http://a.b", "ws://a.b/"]),
        (
            "white space or control",
            &["http://exa\nmple.com", "http://a.b/\r\nHost: c", "http://a.b/ HTTP/1.1", "\thttp://a.b"],
        ),
        (
            "not a URL",
            &["", "example.com", "//example.com", "http://", "http://[::1", "http://a.b:99999", "http://1.2.3.4.5/"],
        ),
        ("not a URL", &["http://[fe80::1%25eth0]/", "http://a.b\0.c/", "http://exa<mple.com", "http://256.1.1.1/"]),
        ("port 22", &["http://example.com:22/"]),
        ("port 25", &["https://example.com:25/"]),
        ("port 0", &["http://example.com:0/"]),
    ] {
        for url in urls {
            let told = Target::parse(url, &config(&[])).unwrap_err().to_string();
            assert!(told.contains(rule), "{url:?}: {told}");
        }
    }
    let long = format!("http://example.com/{}", "x".repeat(10_000));
    assert!(Target::parse(&long, &config(&[])).unwrap_err().to_string().contains("longer than"));
    for url in [
        "http://example.com",
        "https://example.com:8443/a?b=c#d",
        "http://8.8.8.8/",
        "http://134744072:3000",
        "https://bücher.example/ü?ü=ä",
        "http://[2606:4700:4700::1111]/",
        "http://notlocalhost.example/",
        "http://127.0.0.1.example/",
        " https://example.com/x ",
    ] {
        assert!(Target::parse(url, &config(&[])).is_ok(), "{url}");
    }
}

#[test]
fn the_operator_names_targets_exactly() {
    let allow = config(&["127.0.0.1:8080", "intranet:22", "[::1]:9000"]);
    for url in [
        "http://127.0.0.1:8080/x",
        "https://127.1:8080",
        "http://2130706433:8080",
        "http://INTRANET:22",
        "http://[::1]:9000",
    ] {
        assert!(Target::parse(url, &allow).is_ok(), "{url}");
    }
    for url in
        ["http://127.0.0.1:8081", "http://127.0.0.2:8080", "http://localhost:8080", "http://intranet", "http://[::1]"]
    {
        assert!(Target::parse(url, &allow).is_err(), "{url}");
    }
    for url in ["http://u@127.0.0.1:8080", "ftp://127.0.0.1:8080", "http://intranet.:22"] {
        assert!(Target::parse(url, &allow).is_err(), "{url}");
    }
    let none = EgressConfig { public: false, ..allow };
    assert!(Target::parse("http://127.0.0.1:8080", &none).is_ok());
    let told = Target::parse("https://example.com", &none).unwrap_err().to_string();
    assert!(told.contains("only targets that its operator named"), "{told}");
}

#[tokio::test]
async fn what_is_sent_says_who_asks_and_nothing_else() {
    let server = TestServer::always(|| page("text/plain", "hello")).await;
    let fetched = get(&server).await.unwrap();
    assert_eq!((fetched.status, fetched.body.as_slice(), fetched.whole), (200, &b"hello"[..], true));
    assert_eq!(fetched.url.as_str(), server.url("/"));
    let head = server.requests.lock().unwrap().concat().replace(&server.address, "[server]");
    insta::assert_snapshot!(head.replace(env!("CARGO_PKG_VERSION"), "[version]"), @r"
    GET / HTTP/1.1
    accept: text/html, text/markdown, text/plain, application/json, application/xml;q=0.9, */*;q=0.5
    user-agent: Ninja/[version]
    accept-encoding: gzip
    host: [server]
    ");
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused() {
    let server = TestServer::always(|| page("text/plain", "secret")).await;
    for answer in [
        &["127.0.0.1"][..],
        &["10.0.0.1"],
        &["169.254.169.254"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["0.0.0.0"],
        // One of several suffices: which of them would be taken is not ours to say.
        &["93.184.216.34", "127.0.0.1"],
    ] {
        let resolver = Answers::new(&[answer]);
        let egress = client(&[], Arc::clone(&resolver));
        let url = format!("http://evil.example:{}/", server.port());
        let told = egress.fetch(&url, Wanted::Text).await.unwrap_err();
        assert_eq!(told, EgressError::Resolved("evil.example".into()), "{answer:?}");
        assert!(answer.iter().all(|address| !told.to_string().contains(address)), "{told}");
        assert_eq!(resolver.asked(), ["evil.example"]);
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_connected_to_as_checked() {
    let server = TestServer::always(|| page("text/plain", "the first answer")).await;
    let name = format!("rebinding.example:{}", server.port());
    // Were it looked up again to connect, the second answer would lead nowhere.
    let resolver = Answers::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let fetched = client(&[&name], Arc::clone(&resolver)).fetch(&format!("http://{name}/"), Wanted::Text).await;
    assert_eq!(fetched.unwrap().body, b"the first answer");
    assert_eq!(resolver.asked().len(), 1);
}

#[tokio::test]
async fn a_redirect_back_to_a_rebound_name_is_checked_anew() {
    let inside = TestServer::always(|| page("text/plain", "secret")).await;
    let rebound = format!("http://rebinding.example:{}/", inside.port());
    let location = format!("location: {rebound}\r\n");
    let outside = TestServer::always(move || Reply::Send(response(302, &location, ""))).await;
    let name = format!("outside.example:{}", outside.port());
    let resolver = Answers::new(&[&["127.0.0.1"], &["127.0.0.1"]]);
    let told = client(&[&name], resolver).fetch(&format!("http://{name}/"), Wanted::Text).await.unwrap_err();
    assert_eq!(told, EgressError::Redirected(Box::new(EgressError::Resolved("rebinding.example".into()))));
    assert_eq!((outside.count(), inside.count()), (1, 0));
}

#[tokio::test]
async fn redirects_are_followed_three_times() {
    let server = TestServer::start(|request| {
        let path = request.split(' ').nth(1).unwrap();
        match path.trim_start_matches("/jump/").parse::<u32>() {
            Ok(0) => page("text/plain", "here"),
            Ok(9) => Reply::Send(response(302, "location: /jump/ü/../0\r\n", "")),
            Ok(left) => {
                let headers = format!("location: {}\r\nset-cookie: a=b\r\nwww-authenticate: Basic\r\n", left - 1);
                Reply::Send(response([301, 302, 303, 307, 308][left as usize % 5], &headers, "ignored"))
            }
            Err(_) => Reply::Send(response(302, "location: /loop\r\n", "")),
        }
    })
    .await;
    let egress = client(&[&server.address], Answers::new(&[]));
    let fetched = egress.fetch(&server.url("/jump/3#part"), Wanted::Text).await.unwrap();
    assert_eq!((fetched.body.as_slice(), fetched.url.path()), (&b"here"[..], "/jump/0"));
    assert_eq!(egress.fetch(&server.url("/jump/9"), Wanted::Text).await.unwrap().body, b"here");
    let requests = server.requests.lock().unwrap().concat().to_lowercase();
    assert!(["cookie", "authorization", "referer"].iter().all(|header| !requests.contains(header)), "{requests}");
    for path in ["/jump/4", "/loop"] {
        let told = egress.fetch(&server.url(path), Wanted::Text).await.unwrap_err();
        assert_eq!(told, EgressError::TooManyRedirects(3));
    }
}

#[tokio::test]
async fn redirects_are_checked_like_what_a_caller_writes() {
    let inside = TestServer::always(|| page("text/plain", "secret")).await;
    let port = inside.port();
    for (rule, location) in [
        ("loopback", format!("http://127.0.0.1:{port}/")),
        ("loopback", format!("//127.1:{port}/")),
        ("loopback", format!("http://0x7f000001:{port}/")),
        ("loopback", format!("\\\\2130706433:{port}\\")),
        ("IPv4-mapped", format!("http://[::ffff:127.0.0.1]:{port}/")),
        ("unspecified", format!("http://0.0.0.0:{port}/")),
        ("names this machine", format!("http://localhost:{port}/")),
        ("user name", format!("http://a@127.0.0.1:{port}/")),
        ("link-local", "http://169.254.169.254/latest/".to_owned()),
        ("are not fetched", "file:///etc/passwd".to_owned()),
        ("are not fetched", "gopher://127.0.0.1/".to_owned()),
        ("not a URL", "http://[/".to_owned()),
        ("not a URL", "http://a.b/ x".to_owned()),
    ] {
        let answer = response(302, &format!("location: {location}\r\n"), "");
        let outside = TestServer::always(move || Reply::Send(answer.clone())).await;
        let told = get(&outside).await.unwrap_err().to_string();
        assert!(told.starts_with("it redirects") && told.contains(rule), "{location}: {told}");
    }
    assert_eq!(inside.count(), 0);
}

#[tokio::test]
async fn slow_servers_are_left() {
    let limits = FetchLimits { total: Duration::from_millis(300), ..FetchLimits::default() };
    for first in [&b""[..], b"HTTP/1.1 200 OK\r\nx-slow:", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal"] {
        let server = TestServer::always(|| Reply::Hang(first.to_vec())).await;
        let egress = Egress::with(config(&[&server.address]), Answers::new(&[]), limits);
        let told = egress.fetch(&server.url("/"), Wanted::Text).await.unwrap_err();
        assert!(matches!(told, EgressError::Timeout { .. }) && told.is_temporary(), "{told}");
    }
    // Every hop is fast, but all have one time together.
    let server = TestServer::always(|| Reply::Repeat(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x-more: y\r\n".to_vec())).await;
    assert_eq!(get(&server).await.unwrap_err(), EgressError::Broken("127.0.0.1".into()), "endless headers");
}

#[tokio::test]
async fn endless_bodies_are_cut() {
    let bomb = |encoding: &str, first: Vec<u8>, again: Vec<u8>| {
        let head = format!("content-type: text/plain\r\n{encoding}");
        let first = [response(200, &head, ""), first].concat();
        TestServer::always(move || Reply::Repeat(first.clone(), again.clone()))
    };
    let fetched = get(&bomb("", Vec::new(), vec![b'x'; 4_096]).await).await.unwrap();
    assert_eq!((fetched.body.len(), fetched.whole), (BODY_BYTES, false));
    // It unpacks to a thousand times its size and never comes to its end.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![0; 64 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < BODY_BYTES);
    let unfinished =
        [response(200, "content-type: text/plain\r\ncontent-encoding: gzip\r\n", ""), packed[..60_000].to_vec()];
    let server = TestServer::always(move || Reply::Hang(unfinished.concat())).await;
    let fetched = get(&server).await.unwrap();
    assert_eq!((fetched.body.len(), fetched.whole), (BODY_BYTES, false));
}

#[tokio::test]
async fn a_body_that_just_fits_is_whole() {
    for (length, whole) in [(0, true), (BODY_BYTES - 1, true), (BODY_BYTES, true), (BODY_BYTES + 1, false)] {
        let server = TestServer::always(move || page("text/plain", vec![b'x'; length])).await;
        let fetched = get(&server).await.unwrap();
        assert_eq!((fetched.body.len(), fetched.whole), (length.min(BODY_BYTES), whole), "{length}");
    }
}

#[tokio::test]
async fn only_text_is_read_where_text_is_wanted() {
    for text in [
        "text/html; charset=utf-8",
        "TEXT/PLAIN",
        "text/csv",
        "text/markdown",
        "application/json",
        "application/ld+json",
        "application/xml",
        "application/atom+xml",
        "application/xhtml+xml",
    ] {
        let server = TestServer::always(move || page(text, "x")).await;
        assert_eq!(get(&server).await.unwrap().content_type.as_deref(), Some(text));
    }
    for other in
        ["application/pdf", "image/png", "application/octet-stream", "video/mp4", "nonsense", "application/zip; x"]
    {
        let server = TestServer::always(move || page(other, "x")).await;
        assert_eq!(get(&server).await.unwrap_err(), EgressError::ContentType(other.into()));
        let egress = client(&[&server.address], Answers::new(&[]));
        assert_eq!(egress.fetch(&server.url("/"), Wanted::Anything).await.unwrap().body, b"x");
    }
}

#[tokio::test]
async fn errors_of_servers_are_told() {
    for status in [204, 304, 401, 404, 500, 503] {
        let server =
            TestServer::always(move || Reply::Send(response(status, "location: http://127.0.0.1/\r\n", ""))).await;
        assert_eq!(get(&server).await.unwrap().status, status);
    }
    let broken = EgressError::Broken("127.0.0.1".into());
    for (answer, error) in [
        (&b""[..], &broken),
        (b"SSH-2.0-OpenSSH_9.2\r\n", &broken),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", &broken),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", &broken),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nnot packed", &broken),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\nx", &EgressError::Encoding("127.0.0.1".into())),
    ] {
        let server = TestServer::always(move || Reply::Send(answer.to_vec())).await;
        assert_eq!(&get(&server).await.unwrap_err(), error, "{}", String::from_utf8_lossy(answer));
    }
    let gone = TestServer::always(|| Reply::Send(Vec::new())).await.address;
    let egress = client(&[&gone, "unknown.example:80"], Answers::new(&[]));
    let told = egress.fetch("http://unknown.example", Wanted::Text).await.unwrap_err();
    assert_eq!(told, EgressError::Unknown("unknown.example".into()));
}
