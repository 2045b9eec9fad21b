//! Why something was not fetched. Texts go to models and people: they name the rule, and no address that the caller
//! did not write.

/// Why something was not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// It is no URL.
    #[error("the address is not a URL: {0}")]
    InvalidUrl(String),
    /// Its scheme is another.
    #[error("`{0}:` addresses are not fetched, only `http:` and `https:`")]
    Scheme(String),
    /// It carries credentials.
    #[error("an address with a user name or password in it is not fetched")]
    Credentials,
    /// A name of this machine or of a network that is not public.
    #[error("`{0}` names this machine or a private network; only public hosts are fetched")]
    Name(String),
    /// A literal address that is not public.
    #[error("`{host}` is not a public address but a {kind} one; only public hosts are fetched")]
    Address {
        /// The host, as a URL shows it.
        host: String,
        /// The kind of address.
        kind: &'static str,
    },
    /// A name that leads to such an address. Which one is not told.
    #[error("`{0}` leads to an address that is not public; only public hosts are fetched")]
    Resolved(String),
    /// A port of another protocol.
    #[error("port {0} is not fetched: of the ports below 1024 only 80 and 443 belong to the web")]
    Port(u16),
    /// The operator turned the public internet off.
    #[error("`{0}` is not fetched: this installation allows only targets that its operator named")]
    PublicOff(String),
    /// The name has no address.
    #[error("there is no host `{0}`, or its name cannot be looked up now")]
    Unknown(String),
    /// Nothing answered, or not as the owner of the name.
    #[error("`{0}` takes no connection, or its certificate is not trusted")]
    Connect(String),
    /// It took too long.
    #[error("`{host}` was not done after {seconds} s")]
    Timeout {
        /// The host of the first address.
        host: String,
        /// The time it had.
        seconds: u64,
    },
    /// The answer is no HTTP, or ended before its time.
    #[error("the answer of `{0}` is broken")]
    Broken(String),
    /// The answer is packed in a way that was not asked for.
    #[error("the answer of `{0}` is compressed in a way that was not asked for")]
    Encoding(String),
    /// The answer is no text.
    #[error("the answer is of type `{0}`; only text, HTML, JSON, XML, CSV and Markdown are read")]
    ContentType(String),
    /// A redirect leads nowhere.
    #[error("it redirects to something that is not a URL")]
    BadRedirect,
    /// Redirects without end.
    #[error("it redirects more than {0} times")]
    TooManyRedirects(usize),
    /// A redirect leads to what is not fetched.
    #[error("it redirects, and {0}")]
    Redirected(Box<EgressError>),
}

impl EgressError {
    /// Returns whether another try a little later may fare better.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::Connect(_) | Self::Timeout { .. } | Self::Broken(_) => true,
            Self::Redirected(inner) => inner.is_temporary(),
            Self::InvalidUrl(_)
            | Self::Scheme(_)
            | Self::Credentials
            | Self::Name(_)
            | Self::Address { .. }
            | Self::Resolved(_)
            | Self::Port(_)
            | Self::PublicOff(_)
            | Self::Encoding(_)
            | Self::ContentType(_)
            | Self::BadRedirect
            | Self::TooManyRedirects(_) => false,
        }
    }
}
