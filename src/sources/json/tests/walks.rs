//! An hour of a ticket system that is read in every style of paging, while its tickets change, in virtual time. Most seeds
//! call the server; one goes over a socket.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap as AxumHeaders, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use reqwest::header::HeaderMap;

use super::server::{Reply, START, Server, Wire};
use super::*;
use crate::sources::http::{Request, fetch, source_client};
use crate::sources::poll::cadence::Cadence;
use crate::sources::poll::pace::Pace;
use crate::sources::poll::{Kept, Next, Planner, What};
use crate::sources::sign::Body;
use crate::wire::http::ClientConfig;

/// Style, and what stands in its list.
const STYLES: [(&str, &str); 8] = [
    (
        "newest",
        "paging = \"pages\"\ntotal = \"total\"\nrequest = { url = \"newest\", query = { from = \"{{ from }}\", to = \"{{ to }}\", page = \"{{ page }}\", size = \"{{ size }}\" } }",
    ),
    (
        "ids",
        "paging = \"pages\"\nrequest = { url = \"ids\", query = { from = \"{{ from }}\", page = \"{{ page }}\", size = \"{{ size }}\" } }",
    ),
    (
        "offset",
        "paging = \"pages\"\nfirst_page = 0\nrequest = { url = \"ids\", query = { from = \"{{ from }}\", offset = \"{{ offset }}\", size = \"{{ size }}\" } }",
    ),
    (
        "keyset",
        "paging = \"keyset\"\nrequest = { url = \"keyset\", query = { from = \"{{ from }}\", page = \"{{ page }}\", size = \"{{ size }}\" } }",
    ),
    (
        "cursor",
        "paging = \"cursor\"\nnext = \"next\"\nrequest = { url = \"cursor\", query = { from = \"{{ from }}\", cursor = \"{{ cursor }}\", size = \"{{ size }}\" } }",
    ),
    (
        "links",
        "paging = \"link\"\nnext = \"links.next\"\nrequest = { url = \"links\", query = { from = \"{{ from }}\", size = \"{{ size }}\" } }",
    ),
    (
        "header",
        "paging = \"link_header\"\nrequest = { url = \"header\", query = { from = \"{{ from }}\", size = \"{{ size }}\" } }",
    ),
    ("all", "request = { url = \"all\" }"),
];

fn adapter(base: &str, style: &str) -> Json {
    let text = format!(
        r#"
base = "{base}/api/"
auth.oauth2 = {{ token_url = "/oauth/token", client_id = "desk", client_secret_env = "S" }}
[[errors]]
path = "code"
unless = ["0"]
class = "transient"
[lists.tickets]
{style}
items = "data"
page_size = 20
overlap = "4m"
[lists.tickets.map]
kind = "ticket"
id = "row.id"
modified = "row.updated"
marks = {{ opened = "row.opened", respond_by = "row.due", resolved = "row.closed_at" }}
attributes = {{ status = "row.status" }}
[lists.tickets.detail]
request.url = "tickets/{{{{ id }}}}"
row = "ticket"
[[lists.tickets.detail.each]]
of = "row.messages"
when = "entry.from == 'us'"
mark = "agent_reply"
at = "entry.at"
reference = "entry.id"
"#
    );
    let secret = Some(Secret::new("s3cret"));
    Json::new(Origin { source: "desk".to_owned(), shop: None }, &config(&text), secret).unwrap()
}

/// What a desk would know: the newest of each mark and of the status.
#[derive(Default, PartialEq, Debug)]
struct Case {
    opened: Option<Instant>,
    due: Option<Instant>,
    status: (i64, String),
    replies: BTreeMap<String, Instant>,
}

struct Reader {
    adapter: Json,
    planner: Planner,
    app: Pace,
    kept: BTreeMap<String, Kept>,
    tokens: Tokens,
    cases: BTreeMap<String, Case>,
    rejects: usize,
    deaths: u32,
}

/// How a request reaches the server.
enum Way {
    Call,
    Socket(reqwest::Client),
}

fn planner(adapter: &Json, kept: BTreeMap<String, Kept>, tokens: &Tokens, now: Instant) -> Planner {
    let cadence = Cadence { every: Span::from_secs(60), quiet: (0, 0), cron: None };
    let pace = Pace::new(NonZeroU32::new(600).unwrap());
    let at = (now, now.since(START));
    let mut planner = Planner::new("desk".into(), adapter.feeds(), kept, Span::HOUR, cadence, pace, at);
    planner.renew_before(adapter.renew_before());
    let none_yet = tokens.access.reveal().is_empty();
    planner.token_until(if none_yet { Some(now) } else { tokens.access_until });
    planner
}

impl Reader {
    fn new(base: &str, style: &str) -> Reader {
        let adapter = adapter(base, style);
        let tokens = Tokens::default();
        let planner = planner(&adapter, BTreeMap::new(), &tokens, START);
        let app = Pace::new(NonZeroU32::new(6000).unwrap());
        Reader {
            adapter,
            planner,
            app,
            kept: BTreeMap::new(),
            tokens,
            cases: BTreeMap::new(),
            rejects: 0,
            deaths: 0,
        }
    }

    async fn step(&mut self, server: &Arc<Mutex<Server>>, way: &Way, dies: bool) {
        let now = server.lock().unwrap().now;
        let elapsed = now.since(START);
        match self.planner.next(now, elapsed, &mut self.app) {
            Next::Wait(span) => server.lock().unwrap().now = now + span.max(Span::from_millis(1)),
            Next::Renew => {
                let request = self.adapter.renew(&self.tokens, now).unwrap();
                let answer = send(&request, server, way).await;
                match answer.and_then(|answer| self.adapter.read_tokens(&answer, now)) {
                    Ok(tokens) => {
                        self.planner.renewed(tokens.access_until, elapsed);
                        self.tokens = tokens;
                    }
                    Err(failure) => self.planner.not_renewed(failure, elapsed),
                }
            }
            Next::Ask(call) => {
                let feed = self.planner.feed(call.feed).unwrap().clone();
                let request = match &call.what {
                    What::Page(ask) => match self.planner.after(call.feed) {
                        Some(after) => self.adapter.page_after(&feed, *ask, after, &self.tokens, now),
                        None => self.adapter.page(&feed, *ask, &self.tokens, now),
                    },
                    What::Case(want) | What::Again(want, _) => self.adapter.detail(want, &self.tokens, now),
                };
                let answer = send(&request, server, way).await;
                let step = answer
                    .and_then(|answer| match &call.what {
                        What::Page(ask) => self.adapter.read_page(&feed, *ask, &answer),
                        What::Case(want) | What::Again(want, _) => self.adapter.read_detail(want, &answer),
                    })
                    .and_then(|page| self.planner.took(&call, page));
                if dies && self.deaths.is_multiple_of(2) {
                    // Before the commit.
                    return self.die(now);
                }
                match step {
                    Ok(step) => {
                        self.rejects += step.rejects.len();
                        // As it lies in the store.
                        let text = serde_json::to_string(&step.kept).unwrap();
                        assert!(!text.contains("t0ken"), "{text}");
                        self.kept.insert(feed.name.clone(), serde_json::from_str(&text).unwrap());
                        step.observations.iter().for_each(|seen| observe(&mut self.cases, seen));
                        self.planner.kept(step, now, elapsed);
                    }
                    Err(failure) => self.planner.failed(Some(&call), failure, elapsed, &mut self.app),
                }
                if dies {
                    self.die(now);
                }
            }
        }
    }

    fn die(&mut self, now: Instant) {
        self.deaths += 1;
        self.tokens = Tokens::default();
        self.planner = planner(&self.adapter, self.kept.clone(), &self.tokens, now);
    }
}

fn observe(cases: &mut BTreeMap<String, Case>, seen: &Observation<'_>) {
    let case = cases.entry(seen.id.to_string()).or_default();
    for mark in &seen.marks {
        match (mark.name.as_ref(), &mark.reference) {
            ("opened", _) => case.opened = Some(mark.at),
            ("respond_by", _) => case.due = Some(mark.at),
            ("agent_reply", Some(reference)) => drop(case.replies.insert(reference.to_string(), mark.at)),
            _ => {}
        }
    }
    for (name, value) in &seen.attributes {
        if let (true, Attribute::Text(text)) = (name == "status", value)
            && case.status.0 <= seen.revision
        {
            case.status = (seen.revision, text.to_string());
        }
    }
}

async fn send(request: &Request, server: &Arc<Mutex<Server>>, way: &Way) -> Result<Answer, Failure> {
    let answer = match way {
        Way::Call => {
            let Body::Plain(plain) = &request.signed.body else { panic!("{request:?}") };
            let mut url = request.url.clone();
            if !request.signed.query.is_empty() {
                url.query_pairs_mut().extend_pairs(&request.signed.query);
            }
            let body = plain.content.as_ref().map_or("", |(_, text)| text);
            let mut server = server.lock().unwrap();
            let reply = ask_server(&mut server, plain.method.as_str(), &url, &plain.headers, body);
            let mut answer = Answer {
                status: reply.status,
                content_type: reply.content_type.to_owned(),
                headers: reply.headers,
                body: reply.body.into_bytes(),
                ..Answer::default()
            };
            let wait = answer.headers.get("retry-after").and_then(|v| v.to_str().ok());
            answer.retry_after = wait.and_then(|v| v.parse().ok()).map(Span::from_secs);
            Ok(answer)
        }
        Way::Socket(client) => {
            let now = server.lock().unwrap().now;
            fetch(client, request, now).await
        }
    };
    let mut server = server.lock().unwrap();
    server.now = server.now + Span::from_millis(80);
    answer
}

fn ask_server(
    server: &mut Server,
    method: &str,
    url: &reqwest::Url,
    headers: &HeaderMap,
    body: &str,
) -> Reply {
    let query = url.query_pairs().into_owned().collect();
    server.answer(&Wire { method, path: url.path(), query, headers, body })
}

async fn over_the_wire(
    State(server): State<Arc<Mutex<Server>>>,
    method: Method,
    uri: Uri,
    headers: AxumHeaders,
    body: Bytes,
) -> Response {
    let url = reqwest::Url::parse(&format!("http://127.0.0.1{uri}")).unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let reply = ask_server(&mut server.lock().unwrap(), method.as_str(), &url, &headers, &body);
    let status = StatusCode::from_u16(reply.status).unwrap();
    (status, reply.headers, [("content-type", reply.content_type)], reply.body).into_response()
}

/// Reads more than an hour, then lets it settle. What is known must be what is true.
async fn day(style: &str, list: &str, seed: u64, server: Arc<Mutex<Server>>, way: Way, base: &str) {
    let mut reader = Reader::new(base, list);
    let minutes = |n: i64| START + Span::from_minutes(n);
    {
        let mut server = server.lock().unwrap();
        server.trouble = 10;
        // With each request, or with every third.
        server.restless = if seed.is_multiple_of(2) { 1000 } else { 333 };
        server.per_minute = 60;
        server.outage = Some((minutes(30), minutes(50)));
    }
    let mut steps = 0u64;
    let mut minute = START;
    loop {
        let now = server.lock().unwrap().now;
        if now >= minutes(80) {
            break;
        }
        if now >= minute + Span::MINUTE {
            minute = now;
            server.lock().unwrap().stir(6);
        }
        steps += 1;
        reader.step(&server, &way, steps % 97 == seed % 97).await;
    }
    {
        let mut server = server.lock().unwrap();
        server.trouble = 0;
        server.restless = 0;
    }
    while server.lock().unwrap().now < minutes(125) {
        reader.step(&server, &way, false).await;
    }
    let server = server.lock().unwrap();
    let truth: BTreeMap<String, Case> = server
        .tickets
        .iter()
        .map(|(id, t)| {
            let replies = t.messages.iter().filter(|(_, us, _)| *us).map(|(id, _, at)| (id.to_string(), *at));
            let case = Case {
                opened: Some(t.opened),
                due: Some(t.due),
                status: (t.modified.as_millis(), t.status.to_owned()),
                replies: replies.collect(),
            };
            (id.to_string(), case)
        })
        .collect();
    let wrong: Vec<_> =
        truth.iter().filter(|(id, case)| reader.cases.get(*id) != Some(case)).map(|(id, _)| id).collect();
    let invented: Vec<_> = reader.cases.keys().filter(|id| !truth.contains_key(*id)).collect();
    assert!(
        wrong.is_empty() && invented.is_empty(),
        "{style} seed {seed}: {} of {} tickets are wrong, the first {:?}; invented {invented:?}",
        wrong.len(),
        truth.len(),
        wrong.first().map(|id| (&truth[*id], reader.cases.get(*id))),
    );
    assert!(
        reader.deaths > 5 && server.throttles > 0,
        "{style}: it was tried hard: {} {}",
        reader.deaths,
        server.throttles
    );
    assert!(server.faults.len() > 2, "{style}: {:?}", server.faults);
    assert_eq!(reader.rejects, 0, "{style}");
    // Ten minutes each; a renewal more after each death.
    assert!(server.tokens_given <= 30 + u64::from(reader.deaths), "{style}: {}", server.tokens_given);
}

/// The server is made up, and simulated.
#[tokio::test]
async fn every_style_of_paging_loses_nothing_and_doubles_nothing() {
    for (style, list) in STYLES {
        for seed in 0..2 {
            let server = Arc::new(Mutex::new(Server::new(seed, 120)));
            day(style, list, seed, server, Way::Call, "http://127.0.0.1").await;
        }
    }
}

/// The same over a socket, one seed.
#[tokio::test]
async fn the_same_holds_over_a_socket() {
    for (style, list) in [STYLES[0], STYLES[3], STYLES[5], STYLES[6]] {
        let server = Arc::new(Mutex::new(Server::new(9, 60)));
        let app = axum::Router::new().fallback(over_the_wire).with_state(server.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        server.lock().unwrap().origin = base.clone();
        let client = source_client(&ClientConfig::default()).unwrap();
        tokio::select! {
            served = axum::serve(listener, app).into_future() => panic!("{served:?}"),
            () = day(style, list, 9, server, Way::Socket(client), &base) => {}
        }
    }
}
