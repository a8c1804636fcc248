//! A mapping proved with an answer of the server that somebody kept in a file: what becomes of each row, or why nothing.

use std::fs;

use serde_json::Value;

use crate::core::model::{Observation, Value as Attribute};
use crate::core::problem::Problems;
use crate::core::time::Instant;
use crate::sources::http::{Answer, LARGEST_PAGE};
use crate::sources::json::Json;
use crate::sources::json::build::List;
use crate::sources::json::mapping::Misfit;
use crate::sources::platform::{Item, Want};

/// So many rows that do not fit are told one by one.
const TOLD: usize = 10;
/// When a sample was read that does not say it. Any time will do.
const READ_AT: Instant = Instant::from_secs(1_767_578_400);

/// What became of one sample.
struct Proof {
    /// How many rows it has.
    rows: usize,
    items: Vec<Item>,
    /// The place of a row, counted from 1, and why it means nothing.
    misfits: Vec<(usize, Misfit)>,
    /// The page as a whole is none.
    broken: Option<String>,
}

impl Json {
    /// Notes what is wrong with the samples that are configured.
    pub(super) fn check_samples(&self, problems: &mut Problems) {
        problems.within("lists", |problems| {
            for list in &self.lists {
                problems.within(list.name.as_str(), |problems| {
                    if let Some(file) = &list.config.sample {
                        tell(read(file).map(|answer| self.prove_page(list, &answer)), "map", problems);
                    }
                    let detail = list.config.detail.as_ref();
                    if let Some(file) = detail.and_then(|detail| detail.sample.as_ref()) {
                        problems.within("detail", |problems| {
                            tell(read(file).map(|answer| self.prove_case(list, &answer)), "", problems);
                        });
                    }
                });
            }
        });
    }

    /// What the samples mean, a line for each observation.
    pub(super) fn shown(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for list in &self.lists {
            let page = list.config.sample.as_ref().and_then(|file| read(file).ok());
            let page = page.map(|answer| self.prove_page(list, &answer));
            let case = list.config.detail.as_ref().and_then(|d| d.sample.as_ref()).and_then(|f| read(f).ok());
            let case = case.map(|answer| self.prove_case(list, &answer));
            for item in page.into_iter().chain(case).flat_map(|proof| proof.items) {
                lines.extend(item.observations.iter().map(|seen| line(&list.name, seen)));
            }
        }
        lines
    }

    fn prove_page(&self, list: &List, answer: &Answer) -> Proof {
        let mut proof = Proof { rows: 0, items: Vec::new(), misfits: Vec::new(), broken: None };
        let body = match self.body(answer) {
            Ok(body) => body,
            Err(failure) => {
                proof.broken = Some(format!("is no page: {failure}"));
                return proof;
            }
        };
        let Some(Value::Array(rows)) = list.items.of(&body) else {
            let found = match &body {
                Value::Object(map) => map.keys().take(8).cloned().collect::<Vec<_>>().join(", "),
                _ => "no object".to_owned(),
            };
            let items = &list.config.items;
            proof.broken = Some(format!("found no list at items = \"{items}\"; the answer has: {found}"));
            return proof;
        };
        proof.rows = rows.len();
        match list.mapping.bind(&self.sandbox) {
            Err((key, why)) => proof.broken = Some(format!("{key}: {why}")),
            Ok(bound) => {
                for (n, row) in rows.iter().enumerate() {
                    match bound.read(row, &self.origin, &self.zone, READ_AT) {
                        Ok(item) => proof.items.extend(item),
                        Err(misfit) => proof.misfits.push((n + 1, misfit)),
                    }
                }
            }
        }
        proof
    }

    fn prove_case(&self, list: &List, answer: &Answer) -> Proof {
        let mut proof = Proof { rows: 1, items: Vec::new(), misfits: Vec::new(), broken: None };
        let body = self.body(answer);
        let row = body.as_ref().ok().and_then(|body| list.detail_row.of(body));
        let kept = list.config.detail.as_ref().map_or(0, |detail| detail.keep.len());
        let kind = if list.mapping.kind.contains("{{") { "case" } else { list.mapping.kind.as_str() };
        let ids = [list.name.as_str(), "sample", kind].into_iter().chain(std::iter::repeat_n("1", kept));
        let want = Want { ids: ids.map(str::to_owned).collect(), modified: READ_AT };
        match (row, list.detail.one_case(&self.sandbox)) {
            (None, _) => proof.broken = Some("found nothing at `row`".to_owned()),
            (_, Err((key, why))) => proof.broken = Some(format!("{key}: {why}")),
            (Some(row), Ok(case)) => {
                match case.read(row, &want, list.kept(&want), &self.origin, &self.zone) {
                    Ok(item) => proof.items.push(item),
                    Err(misfit) => proof.misfits.push((1, misfit)),
                }
            }
        }
        proof
    }
}

/// A file as an answer.
fn read(file: &str) -> Result<Answer, String> {
    let length = fs::metadata(file).map_err(|e| format!("cannot be read: {e}"))?.len();
    if length > LARGEST_PAGE as u64 {
        return Err(format!("is {length} bytes long, expected at most {LARGEST_PAGE}"));
    }
    let body = fs::read(file).map_err(|e| format!("cannot be read: {e}"))?;
    Ok(Answer { status: 200, body, ..Answer::default() })
}

fn tell(proof: Result<Proof, String>, group: &'static str, problems: &mut Problems) {
    let proof = match proof {
        Ok(proof) => proof,
        // The mapping may be right all the same.
        Err(why) => return problems.within("sample", |p| p.warn(why)),
    };
    if let Some(why) = proof.broken {
        return problems.within("sample", |p| p.error(why));
    }
    if proof.rows == 0 {
        problems.within("sample", |p| p.warn("has no rows: nothing is proved"));
    }
    for (place, misfit) in proof.misfits.iter().take(TOLD) {
        let own = matches!(misfit.key.split('.').next(), Some("when" | "detail"));
        let group = Some(group).filter(|group| !group.is_empty() && !own);
        let text = format!("row {place} of the sample: {misfit}");
        let steps: Vec<&str> = group.into_iter().chain(misfit.key.split('.')).collect();
        note(&steps, &text, problems);
    }
    let more = proof.misfits.len().saturating_sub(TOLD);
    if more > 0 {
        problems.within("sample", |p| p.error(format!("{more} more rows do not fit the mapping")));
    }
}

/// Notes an error below the present key, at steps such as `marks`, `opened` or `each[0]`.
fn note(steps: &[&str], text: &str, problems: &mut Problems) {
    let Some((step, rest)) = steps.split_first() else { return problems.error(text) };
    let (name, place) = match step.split_once('[') {
        Some((name, place)) => (name, place.trim_end_matches(']').parse::<usize>().ok()),
        None => (*step, None),
    };
    problems.within(name, |problems| match place {
        Some(place) => problems.within(place, |p| note(rest, text, p)),
        None => note(rest, text, problems),
    });
}

/// An observation as people read it.
fn line(list: &str, seen: &Observation<'_>) -> String {
    let mut text = format!("{list}: {} {} {} as of {}", seen.source, seen.kind, seen.id, seen.as_of);
    for mark in &seen.marks {
        let reference = mark.reference.as_ref().map_or_else(String::new, |r| format!("[{r}]"));
        text += &format!("  {}{reference}={}", mark.name, mark.at);
    }
    for (name, value) in &seen.attributes {
        text += &match value {
            Attribute::Bool(yes) => format!("  {name}={yes}"),
            Attribute::Int(number) => format!("  {name}={number}"),
            Attribute::Real(number) => format!("  {name}={number}"),
            Attribute::Text(text) => format!("  {name}={text:?}"),
        };
    }
    text
}
