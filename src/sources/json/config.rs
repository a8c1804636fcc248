//! `[sources.NAME.http]`: any API that speaks JSON over HTTP, described in the configuration.

use std::collections::BTreeMap;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::time::Span;

/// `[sources.NAME.http]`: any API that speaks JSON over HTTP. What it is asked, how its pages follow one another and what
/// its rows mean is all said here; `shiftbell check` proves it with a sample. Its secret is the source's token:
/// `access_token_file`, `access_token_env` or `access_token_credential`.
///
/// ```toml
/// [sources.tickets]
/// access_token_credential = "tickets-token"
/// [sources.tickets.http]
/// base = "https://tickets.example/api/"
/// auth.bearer = {}
/// [sources.tickets.http.lists.open]
/// request = { url = "tickets", query = { changed_since = "{{ from }}", page = "{{ page }}" } }
/// items   = "data"
/// paging  = "pages"
/// [sources.tickets.http.lists.open.map]
/// kind       = "ticket"
/// id         = "row.id"
/// modified   = "row.updated_at"
/// marks      = { customer_message = "row.last_customer_at", agent_reply = "row.last_reply_at" }
/// attributes = { status = "row.status" }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Where it is. URLs of requests are seen from here, so it usually ends in a slash. Nothing is sent anywhere else.
    pub base: String,
    /// Takes `http://` to another machine: everybody on the way can read the secret.
    pub plain_http: bool,
    /// The zone of local times, in what it says and in what it is asked.
    pub zone: String,
    /// Headers of every request.
    pub headers: BTreeMap<String, String>,
    /// How requests show who asks; none without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthConfig>,
    /// What a refusal looks like, beside the status; the first that fits counts.
    pub errors: Vec<ErrorConfig>,
    /// What it is asked for, by a name for logs and metrics.
    pub lists: BTreeMap<String, ListConfig>,
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            base: String::new(),
            plain_http: false,
            zone: "Asia/Shanghai".to_owned(),
            headers: BTreeMap::new(),
            auth: None,
            errors: Vec::new(),
            lists: BTreeMap::new(),
        }
    }
}

/// How requests show who asks: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// The token as `Authorization: Bearer …`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerConfig>,
    /// The token in a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderConfig>,
    /// A user, with the token as the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicConfig>,
    /// The token as a parameter of every query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<QueryConfig>,
    /// OAuth 2, client credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<Oauth2Config>,
    /// A request of its own that answers a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginConfig>,
}

/// `auth.bearer`: nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BearerConfig {}

/// `auth.header`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderConfig {
    /// The header, such as `X-Api-Key`.
    pub name: String,
    /// What stands before the token, such as `token `.
    #[serde(default)]
    pub prefix: String,
}

/// `auth.basic`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicConfig {
    /// The user. Where the token itself is the user, and there is no password, leave it out.
    #[serde(default)]
    pub user: Option<String>,
}

/// `auth.query`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryConfig {
    /// The parameter, such as `api_key`.
    pub name: String,
}

/// `auth.oauth2`: a token is got with the app's own name and secret, and got again before it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Oauth2Config {
    /// Where tokens are given, seen from `base`.
    pub token_url: String,
    /// The app's name.
    pub client_id: String,
    /// A file that holds the app's secret …
    pub client_secret_file: Option<String>,
    /// … or a variable of the environment …
    pub client_secret_env: Option<String>,
    /// … or a credential of systemd.
    pub client_secret_credential: Option<String>,
    /// What the token is for.
    pub scope: Option<String>,
    /// Sends name and secret in the body, for servers that do not read them from the header.
    pub in_body: bool,
    /// A token is got again so long before it ends.
    pub renew_before: Span,
}

impl Default for Oauth2Config {
    fn default() -> Oauth2Config {
        Oauth2Config {
            token_url: String::new(),
            client_id: String::new(),
            client_secret_file: None,
            client_secret_env: None,
            client_secret_credential: None,
            scope: None,
            in_body: false,
            renew_before: Span::MINUTE,
        }
    }
}

/// `auth.login`: a request whose answer holds the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoginConfig {
    /// The request. `{{ secret }}` in its body or form is the secret; it is a `POST` unless it says otherwise.
    pub request: RequestConfig,
    /// A file that holds the secret …
    pub secret_file: Option<String>,
    /// … or a variable of the environment …
    pub secret_env: Option<String>,
    /// … or a credential of systemd.
    pub secret_credential: Option<String>,
    /// Where the token stands in the answer.
    pub token: String,
    /// The header of the answer that holds the token, where it is not in the body.
    pub token_header: Option<String>,
    /// Where the seconds stand for which it is good.
    pub expires_in: Option<String>,
    /// The header that it is sent in …
    pub header: String,
    /// … and what stands before it.
    pub prefix: String,
    /// A token is got again so long before it ends.
    pub renew_before: Span,
}

impl Default for LoginConfig {
    fn default() -> LoginConfig {
        LoginConfig {
            request: RequestConfig { method: Method::Post, ..RequestConfig::default() },
            secret_file: None,
            secret_env: None,
            secret_credential: None,
            token: "token".to_owned(),
            token_header: None,
            expires_in: None,
            header: "authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
            renew_before: Span::MINUTE,
        }
    }
}

/// How a request is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`.
    #[default]
    Get,
    /// `POST`.
    Post,
}

/// A request. Its texts are templates: `{{ from }}` and `{{ to }}` bound the time of change, `{{ page }}`, `{{ offset }}`,
/// `{{ cursor }}` and `{{ size }}` say which page, `{{ now }}` is the time. Filters: `epoch`, `epoch_ms`,
/// `format('%Y-%m-%d %H:%M:%S')`, `minus('1s')`, `json`, `default`, `lower`, `upper`, `trim`, `part`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestConfig {
    /// `GET` or `POST`.
    pub method: Method,
    /// Where it goes, seen from `base`.
    pub url: String,
    /// Parameters behind the `?`; one whose text is empty is left out.
    pub query: BTreeMap<String, String>,
    /// Its own headers.
    pub headers: BTreeMap<String, String>,
    /// A JSON body. What is put into it stays inside its quotes.
    pub body: Option<String>,
    /// A form instead; a field whose text is empty is left out.
    pub form: BTreeMap<String, String>,
}

/// How pages follow one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Paging {
    /// There is one page.
    #[default]
    None,
    /// By `{{ page }}` or `{{ offset }}`. With `{{ to }}` in the request, and a count of all rows (`total`), windows are
    /// closed in the past and read from the last page to the first: no row can be lost. Without `{{ to }}` pages are read
    /// up to an empty one; rows must then not move to earlier pages when they change: order them by their ids, or the
    /// last change first.
    Pages,
    /// By the time of the last row: rows come in ascending order of their changes, and `{{ from }}` moves with them.
    Keyset,
    /// By `{{ cursor }}`, which the page before says (`next`).
    Cursor,
    /// By a link in the body (`next`).
    Link,
    /// By the `Link` header, `rel="next"` (RFC 8288).
    LinkHeader,
}

/// `[sources.NAME.http.lists.LIST]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListConfig {
    /// The request for a page.
    pub request: RequestConfig,
    /// Where the rows stand in the answer: `data.items` or `/data/items`; empty where the answer is the list.
    pub items: String,
    /// How pages follow one another.
    pub paging: Paging,
    /// Rows a page: not more than the server gives.
    pub page_size: u32,
    /// The number of the first page.
    pub first_page: u32,
    /// Where the count of all rows stands …
    pub total: Option<String>,
    /// … or the header that has it.
    pub total_header: Option<String>,
    /// Where the next cursor or link stands; a missing, null or empty one is the end.
    pub next: Option<String>,
    /// Where it says whether there is more: true or false.
    pub more: Option<String>,
    /// More pages in one walk are a fault.
    pub most_pages: u32,
    /// More rows in one page are a fault.
    pub most_rows: u32,
    /// A window ends so long before now: for rows that become visible late.
    pub lag: Span,
    /// A window begins so long before the end of the one before, for the same reason.
    pub overlap: Span,
    /// No window is longer.
    pub longest: Span,
    /// What is older cannot be read at all.
    pub history: Span,
    /// The lower, the sooner, where several lists are due.
    pub rank: u8,
    /// It is read in every so many rounds.
    pub rounds: u32,
    /// Which rows are meant, as an expression; others are left aside.
    pub when: Option<String>,
    /// What a row means.
    pub map: MapConfig,
    /// A request for each row that has changed, for what the list does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<DetailConfig>,
    /// A file with an answer of the server: `shiftbell check` reads it as a page.
    pub sample: Option<String>,
}

impl Default for ListConfig {
    fn default() -> ListConfig {
        ListConfig {
            request: RequestConfig::default(),
            items: String::new(),
            paging: Paging::None,
            page_size: 100,
            first_page: 1,
            total: None,
            total_header: None,
            next: None,
            more: None,
            most_pages: 1000,
            most_rows: 10_000,
            lag: Span::from_secs(5),
            overlap: Span::from_minutes(5),
            longest: Span::DAY,
            history: Span::DAY.times(90),
            rank: 2,
            rounds: 1,
            when: None,
            map: MapConfig::default(),
            detail: None,
            sample: None,
        }
    }
}

/// What a row means. Everything but `kind` is an expression over `row`; what may be missing says so:
/// `row.closed_at | default(none)`. Something else that is missing, or is not what it should be, makes the row a reject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MapConfig {
    /// The kind of case: a word, or a template such as `{{ row.type }}`.
    pub kind: String,
    /// Its id. Whole numbers stay exact.
    pub id: String,
    /// When it was changed; the time it was read where nothing says it.
    pub modified: Option<String>,
    /// Its revision, a whole number that only grows; the seconds of `modified` where nothing says it.
    pub revision: Option<String>,
    /// When somebody has to act at the latest: it is asked more often before. Where nothing is said, the next of the marks
    /// that end in `_by`.
    pub deadline: Option<String>,
    /// Marks by name: when something happened, or for names that end in `_by` until when it must. Instants are RFC 3339,
    /// `2026-03-02 10:00:00` in `zone`, seconds or milliseconds since 1970; null, empty and 1970 itself are none.
    pub marks: BTreeMap<String, String>,
    /// Marks without an instant of their own, by name: true or false. The first row that shows them says when.
    pub seen: BTreeMap<String, String>,
    /// Attributes by name: text, number, true or false; none where it is null. Texts are cut at 300 letters.
    pub attributes: BTreeMap<String, String>,
    /// Marks for each entry of a list in the row, such as messages.
    pub each: Vec<EachConfig>,
}

/// Marks for each entry of a list: expressions over `entry`, and `row`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EachConfig {
    /// The list.
    pub of: String,
    /// Which entries are meant.
    #[serde(default)]
    pub when: Option<String>,
    /// The mark.
    pub mark: String,
    /// When it happened.
    pub at: String,
    /// The entry's own id.
    #[serde(default)]
    pub reference: Option<String>,
}

/// `[sources.NAME.http.lists.LIST.detail]`: a request for each row that has changed. Its templates and expressions know
/// `id`, `kind` and what `keep` kept; `row` is the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DetailConfig {
    /// The request.
    pub request: RequestConfig,
    /// Which rows of the list are worth it, as an expression over `row`; all of them where nothing is said.
    pub when: Option<String>,
    /// What it needs of the list's row, by name: `{ order = "row.order_id" }` becomes `{{ kept.order }}`.
    pub keep: BTreeMap<String, String>,
    /// Where in the answer `row` stands; empty where it is the answer.
    pub row: String,
    /// As in the list.
    pub deadline: Option<String>,
    /// As in the list.
    pub marks: BTreeMap<String, String>,
    /// As in the list.
    pub seen: BTreeMap<String, String>,
    /// As in the list.
    pub attributes: BTreeMap<String, String>,
    /// As in the list.
    pub each: Vec<EachConfig>,
    /// A file with an answer of the server: `shiftbell check` reads it.
    pub sample: Option<String>,
}

/// `[[sources.NAME.http.errors]]`: an answer that is a refusal. With both `status` and `path`, both must fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorConfig {
    /// These statuses.
    #[serde(default)]
    pub status: Vec<u16>,
    /// Where a code stands in the body.
    #[serde(default)]
    pub path: Option<String>,
    /// The code is one of these …
    #[serde(default)]
    pub is: Vec<String>,
    /// … or it is none of these. Without both: it is there, and not null, false, 0 or empty.
    #[serde(default)]
    pub unless: Vec<String>,
    /// What it means: `throttled`, `quota`, `token_expired`, `token_wrong`, `revoked`, `permission`, `parameter`, `gone`,
    /// `transient`, …
    pub class: String,
}

impl HttpConfig {
    /// Where it is.
    ///
    /// # Errors
    /// It is no place to send a secret to.
    pub fn place(&self) -> Result<Url, String> {
        const EXAMPLE: &str = "https://tickets.example/api/";
        if self.plain_http
            && let Ok(url) = Url::parse(&self.base)
            && url.scheme() == "http"
            && url.host_str().is_some()
        {
            return Ok(url);
        }
        crate::sources::row::endpoint(&self.base, EXAMPLE)
    }
}
