//! CSV: a row is one case, and its columns are what happened to it and when.
//!
//! A row is taken apart into one observation per mark, each at the mark's own instant, so that the replay meets
//! them as they happened. All rows are held in memory: they have to be sorted.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{Reason, clip, name_fits};
use super::import::{check_deadline_name, check_plain_name};
use super::lines::MAX_LINE;
use super::{InputError, Rejects};
use crate::core::model::{Mark, Observation, Value};
use crate::core::problem::Problems;
use crate::core::time::Instant;

/// `[import.csv]` (CSV 列映射): which column is what.
///
/// ```toml
/// [import.csv]
/// kind       = "order"                      # or kind_column
/// source     = "tmall-export"
/// id         = "订单号"
/// zone       = "Asia/Shanghai"
/// format     = "%Y-%m-%d %H:%M:%S"          # RFC 3339 is always read
/// marks      = { paid = "付款时间", shipped = "发货时间" }
/// deadlines  = { ship_by = "最晚发货时间" }
/// attributes = { shop = "店铺", items = "件数" }
/// types      = { items = "int" }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// What stands between two columns.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// The kind of every case; this or `kind_column`.
    #[serde(default)]
    pub kind: Option<String>,
    /// The column that holds the kind.
    #[serde(default)]
    pub kind_column: Option<String>,
    /// The source of every case.
    pub source: String,
    /// The column that holds the platform's id.
    pub id: String,
    /// The zone of local times.
    #[serde(default = "shanghai")]
    pub zone: String,
    /// How local times are written, in the manner of strptime.
    #[serde(default = "usual_format")]
    pub format: String,
    /// Mark → column of its instant.
    pub marks: BTreeMap<String, String>,
    /// Deadline mark (its name ends in `_by`) → column of its instant.
    #[serde(default)]
    pub deadlines: BTreeMap<String, String>,
    /// Attribute → column.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Attribute → what it is read as; a text where nothing is said.
    #[serde(default)]
    pub types: BTreeMap<String, ColumnType>,
}

/// What a column is read as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// As it stands.
    #[default]
    Text,
    /// A whole number.
    Int,
    /// A number.
    Real,
    /// true/false, yes/no, 1/0, 是/否.
    Bool,
}

fn comma() -> char {
    ','
}

fn shanghai() -> String {
    "Asia/Shanghai".to_owned()
}

fn usual_format() -> String {
    "%Y-%m-%d %H:%M:%S".to_owned()
}

impl CsvConfig {
    /// Notes everything that is wrong with it.
    pub fn check(&self, problems: &mut Problems) {
        if !self.delimiter.is_ascii() || matches!(self.delimiter, '"' | '\n' | '\r') {
            problems.within("delimiter", |p| {
                p.error(format!(
                    "`{}` cannot stand between columns, expected , ; | or a tab",
                    self.delimiter
                ));
            });
        }
        if self.kind.is_some() == self.kind_column.is_some() {
            problems.within("kind", |p| p.error("expected either `kind` or `kind_column`"));
        }
        for (key, text) in [("source", &self.source), ("id", &self.id)] {
            if text.is_empty() {
                problems.within(key, |p| p.error("is empty"));
            }
        }
        if let Err(e) = TimeZone::get(&self.zone) {
            problems.within("zone", |p| p.error(format!("{e}, expected a zone such as Asia/Shanghai")));
        }
        problems.within("marks", |p| {
            if self.marks.is_empty() {
                p.error("is empty, expected at least one mark and its column");
            }
            for mark in self.marks.keys() {
                p.within(mark.as_str(), |p| check_plain_name(mark, p));
            }
        });
        problems.within("deadlines", |p| {
            for mark in self.deadlines.keys() {
                p.within(mark.as_str(), |p| check_deadline_name(mark, p));
            }
        });
        problems.within("types", |p| {
            for name in self.types.keys().filter(|name| !self.attributes.contains_key(*name)) {
                p.within(name.as_str(), |p| p.error("is not among `attributes`"));
            }
        });
    }
}

/// The observations of a CSV file, in the order of their instants.
pub struct Table {
    /// How many rows were read, without the header.
    pub rows: u64,
    /// How many of them were used.
    pub good: u64,
    /// What happened when; equal instants stay in the order of the rows.
    pub seen: Vec<(Instant, Observation<'static>)>,
    /// A read error that cut the file short, told after its rows have been played.
    pub broken: Option<std::io::Error>,
}

/// Reads a whole CSV file.
///
/// # Errors
/// A header that lacks a mapped column, and with strict rejects the first row that cannot be used.
pub fn read_table(
    name: &Arc<str>,
    bytes: impl Read,
    config: &CsvConfig,
    ignore: &BTreeSet<String>,
    rejects: &mut Rejects,
) -> Result<Table, InputError> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(config.delimiter as u8).flexible(true).from_reader(bytes);
    let header = match reader.byte_headers() {
        Ok(header) => header.clone(),
        Err(e) => return Err(InputError::Header { file: name.clone(), text: e.to_string() }),
    };
    let columns = Columns::find(config, ignore, &header)
        .map_err(|text| InputError::Header { file: name.clone(), text })?;
    let mut table = Table { rows: 0, good: 0, seen: Vec::new(), broken: None };
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => {
                let text = e.to_string();
                table.broken = Some(match e.into_kind() {
                    csv::ErrorKind::Io(cause) => cause,
                    _ => std::io::Error::other(text),
                });
                break;
            }
        }
        table.rows += 1;
        // The row number that a spreadsheet shows: the header is row 1.
        match columns.split(&record, &mut table.seen) {
            Ok(()) => table.good += 1,
            Err(reason) => rejects.note(name, table.rows + 1, &reason)?,
        }
    }
    table.seen.sort_by_key(|(at, _)| *at);
    Ok(table)
}

/// The mapping with every column found.
struct Columns<'c> {
    config: &'c CsvConfig,
    zone: TimeZone,
    width: usize,
    id: usize,
    kind: Option<usize>,
    marks: Vec<(&'c str, usize)>,
    deadlines: Vec<(&'c str, usize)>,
    attributes: Vec<(&'c str, usize, ColumnType)>,
}

impl<'c> Columns<'c> {
    fn find(
        config: &'c CsvConfig,
        ignore: &BTreeSet<String>,
        header: &csv::ByteRecord,
    ) -> Result<Columns<'c>, String> {
        let titles: Vec<&str> = header
            .iter()
            .map(|title| {
                std::str::from_utf8(title).map(|t| t.trim_start_matches('\u{FEFF}').trim()).map_err(|_| {
                    "the header is not UTF-8; save the sheet as “CSV UTF-8”, or convert it with \
                     `iconv -f GB18030 -t UTF-8`"
                        .to_owned()
                })
            })
            .collect::<Result<_, _>>()?;
        let mut lacking = Vec::new();
        let mut find = |wanted: &str| {
            titles.iter().position(|title| *title == wanted).unwrap_or_else(|| {
                lacking.push(format!("`{}`", clip(wanted)));
                0
            })
        };
        let columns = Columns {
            zone: TimeZone::get(&config.zone).map_err(|e| e.to_string())?,
            width: titles.len(),
            id: find(&config.id),
            kind: config.kind_column.as_deref().map(&mut find),
            marks: config.marks.iter().map(|(mark, column)| (mark.as_str(), find(column))).collect(),
            deadlines: config.deadlines.iter().map(|(mark, column)| (mark.as_str(), find(column))).collect(),
            attributes: config
                .attributes
                .iter()
                .filter(|(name, _)| !ignore.contains(*name))
                .map(|(name, column)| {
                    (name.as_str(), find(column), config.types.get(name).copied().unwrap_or_default())
                })
                .collect(),
            config,
        };
        if lacking.is_empty() {
            return Ok(columns);
        }
        let shown: Vec<_> = titles.iter().take(20).map(|t| clip(t)).collect();
        Err(format!("the header has no column {}; it has: {}", lacking.join(", "), shown.join(", ")))
    }

    fn split(
        &self,
        record: &csv::ByteRecord,
        seen: &mut Vec<(Instant, Observation<'static>)>,
    ) -> Result<(), Reason> {
        if record.len() != self.width {
            return Err(format!("has {} columns, the header has {}", record.len(), self.width));
        }
        if record.as_slice().len() > MAX_LINE {
            return Err(format!("is longer than {MAX_LINE} bytes"));
        }
        let id = self.cell(record, self.id)?;
        let id = self.at(self.id, record_id(id))?.to_owned();
        let kind = match self.kind {
            Some(column) => {
                let kind = self.cell(record, column)?;
                self.at(column, name_fits(kind))?;
                kind.to_owned()
            }
            None => self.config.kind.clone().unwrap_or_default(),
        };
        let mut marks = self.instants(record, &self.marks)?;
        if marks.is_empty() {
            let names: Vec<_> = self.config.marks.values().map(|c| clip(c)).collect();
            return Err(format!("no instant in any of the columns {}", names.join(", ")));
        }
        marks.sort_by_key(|mark| mark.at);
        let deadlines = self.instants(record, &self.deadlines)?;
        let mut attributes = Vec::with_capacity(self.attributes.len());
        for (name, column, kind) in &self.attributes {
            let text = self.cell(record, *column)?;
            if !text.is_empty() {
                let value = self.at(*column, typed(text, *kind))?;
                attributes.push((Cow::Owned((*name).to_owned()), value));
            }
        }
        // What is not dated counts from the earliest thing that is known of the case.
        let mut undated = Some((deadlines, attributes));
        for mark in marks {
            let at = mark.at;
            let (mut marks, attributes) = undated.take().unwrap_or_default();
            marks.push(mark);
            seen.push((
                at,
                Observation {
                    source: Cow::Owned(self.config.source.clone()),
                    kind: Cow::Owned(kind.clone()),
                    id: Cow::Owned(id.clone()),
                    as_of: at,
                    revision: 0,
                    marks,
                    attributes,
                },
            ));
        }
        Ok(())
    }

    fn instants(
        &self,
        record: &csv::ByteRecord,
        columns: &[(&str, usize)],
    ) -> Result<Vec<Mark<'static>>, Reason> {
        let mut marks = Vec::with_capacity(columns.len());
        for (name, column) in columns {
            let text = self.cell(record, *column)?;
            if !text.is_empty() {
                let at = self.at(*column, self.instant(text))?;
                let name = Cow::Owned((*name).to_owned());
                marks.push(Mark { name, reference: None, at, removed: false });
            }
        }
        Ok(marks)
    }

    /// RFC 3339, or a local time in the configured format: a repeated hour takes its first pass, a missing one
    /// moves forward.
    fn instant(&self, text: &str) -> Result<Instant, Reason> {
        let at = match Instant::parse(text) {
            Ok(at) => at,
            Err(_) => self.local(text).map_err(|_| {
                format!(
                    "`{}` is neither RFC 3339 nor a local time like {}",
                    clip(text),
                    clip(&self.config.format)
                )
            })?,
        };
        if at.is_plausible() { Ok(at) } else { Err(format!("{} lies outside 2000–2096", clip(text))) }
    }

    fn local(&self, text: &str) -> Result<Instant, jiff::Error> {
        let parts = jiff::fmt::strtime::parse(&self.config.format, text)?;
        if parts.offset().is_some() {
            return parts.to_timestamp().map(Instant::from_timestamp);
        }
        let local = match parts.to_datetime() {
            Ok(local) => local,
            // A format without a time of day: the day's start.
            Err(_) => parts.to_date()?.at(0, 0, 0, 0),
        };
        Ok(Instant::from_timestamp(self.zone.to_ambiguous_timestamp(local).compatible()?))
    }

    fn cell<'r>(&self, record: &'r csv::ByteRecord, column: usize) -> Result<&'r str, Reason> {
        let bytes = record.get(column).unwrap_or_default();
        let text = std::str::from_utf8(bytes)
            .map_err(|_| format!("column {}: not UTF-8, save the sheet as “CSV UTF-8”", self.name(column)))?;
        let text = text.trim();
        // Exports guard long numbers from the spreadsheet as ="…".
        Ok(text.strip_prefix("=\"").and_then(|t| t.strip_suffix('"')).unwrap_or(text))
    }

    fn at<T>(&self, column: usize, result: Result<T, Reason>) -> Result<T, Reason> {
        result.map_err(|reason| format!("column {}: {reason}", self.name(column)))
    }

    /// The configured title of a column.
    fn name(&self, column: usize) -> Cow<'_, str> {
        let config = self.config;
        let dated = self.marks.iter().zip(config.marks.values());
        let due = self.deadlines.iter().zip(config.deadlines.values());
        if column == self.id {
            return clip(&config.id);
        }
        let found = dated.chain(due).find(|((_, at), _)| *at == column).map(|(_, title)| title.as_str());
        let found = found
            .or_else(|| {
                let (name, ..) = self.attributes.iter().find(|(_, at, _)| *at == column)?;
                config.attributes.get(*name).map(String::as_str)
            })
            .or(config.kind_column.as_deref());
        clip(found.unwrap_or("?"))
    }
}

/// An id that a spreadsheet has not destroyed.
fn record_id(id: &str) -> Result<&str, Reason> {
    name_fits(id)?;
    let is_rounded = id.contains("E+")
        && id.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'E' | b'+'))
        && id.starts_with(|c: char| c.is_ascii_digit());
    if is_rounded {
        return Err(format!("`{id}` was rounded by a spreadsheet; export the column as text"));
    }
    Ok(id)
}

fn typed(text: &str, kind: ColumnType) -> Result<Value<'static>, Reason> {
    let bad = |expected: &str| format!("`{}` is not {expected}", clip(text));
    Ok(match kind {
        ColumnType::Text => Value::Text(Cow::Owned(text.to_owned())),
        ColumnType::Int => Value::Int(text.parse().map_err(|_| bad("a whole number"))?),
        ColumnType::Real => {
            let number: f64 = text.parse().map_err(|_| bad("a number"))?;
            if !number.is_finite() {
                return Err(bad("a finite number"));
            }
            Value::Real(number)
        }
        ColumnType::Bool => Value::Bool(match text {
            "true" | "TRUE" | "yes" | "1" | "是" => true,
            "false" | "FALSE" | "no" | "0" | "否" => false,
            _ => return Err(bad("true/false, yes/no, 1/0 or 是/否")),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> CsvConfig {
        toml::from_str(
            r#"
            kind = "order"
            source = "tmall"
            id = "订单号"
            marks = { paid = "付款时间", shipped = "发货时间" }
            deadlines = { ship_by = "最晚发货时间" }
            attributes = { shop = "店铺", items = "件数" }
            types = { items = "int" }
            "#,
        )
        .expect("a config")
    }

    const HEADER: &str = "订单号,付款时间,发货时间,最晚发货时间,店铺,件数\n";

    fn read(text: &str) -> (Result<Table, InputError>, Rejects) {
        let mut rejects = Rejects::new(false);
        let table = read_table(&"t.csv".into(), text.as_bytes(), &config(), &BTreeSet::new(), &mut rejects);
        (table, rejects)
    }

    #[test]
    fn a_row_is_taken_apart_as_it_happened() {
        let (table, rejects) = read(&format!(
            "\u{FEFF}{HEADER}A1,2026-03-02 10:00:00,2026-03-03 09:00:00,2026-03-04 10:00:00,旗舰店,2\n\
             =\"A2\",2026-03-01T00:00:00Z,,,,\n"
        ));
        let table = table.expect("a table");
        assert_eq!((table.rows, table.good, rejects.total()), (2, 2, 0));
        let told: Vec<_> = table
            .seen
            .iter()
            .map(|(at, o)| {
                let marks: Vec<_> = o.marks.iter().map(|m| format!("{} {}", m.name, m.at)).collect();
                format!("{at} {} [{}] {} attributes", o.id, marks.join(", "), o.attributes.len())
            })
            .collect();
        assert_eq!(
            told,
            [
                "2026-03-01T00:00:00Z A2 [paid 2026-03-01T00:00:00Z] 0 attributes",
                "2026-03-02T02:00:00Z A1 [ship_by 2026-03-04T02:00:00Z, paid 2026-03-02T02:00:00Z] 2 attributes",
                "2026-03-03T01:00:00Z A1 [shipped 2026-03-03T01:00:00Z] 0 attributes",
            ]
        );
    }

    #[test]
    fn rows_that_cannot_be_used_say_where_and_why() {
        for (row, want) in [
            (",2026-03-02 10:00:00,,,,", "column 订单号: is empty"),
            (
                "1.23457E+17,2026-03-02 10:00:00,,,,",
                "column 订单号: `1.23457E+17` was rounded by a spreadsheet",
            ),
            ("A,soon,,,,", "column 付款时间: `soon` is neither RFC 3339 nor a local time like %Y"),
            ("A,9999-01-01 00:00:00,,,,", "column 付款时间: 9999-01-01 00:00:00 lies outside"),
            ("A,,,,,", "no instant in any of the columns 付款时间, 发货时间"),
            ("A,2026-03-02 10:00:00,,,,two", "column 件数: `two` is not a whole number"),
            ("A,2026-03-02 10:00:00", "has 2 columns, the header has 6"),
        ] {
            let (table, rejects) = read(&format!("{HEADER}{row}\n"));
            assert!(table.expect("a table").seen.is_empty(), "{row}");
            let first = &rejects.first()[0];
            assert_eq!(first.line, 2, "{row}");
            assert!(first.reason.contains(want), "{row}: {}", first.reason);
        }
    }

    #[test]
    fn a_header_that_does_not_fit_is_an_error() {
        let (table, _) = read("订单号,付款时间\nA,B\n");
        let text = table.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(text.contains("no column `发货时间`, `最晚发货时间`"), "{text}");
        let mut rejects = Rejects::new(false);
        let gbk =
            read_table(&"t".into(), &b"\xB6\xA9\xB5\xA5,x\n"[..], &config(), &BTreeSet::new(), &mut rejects);
        assert!(gbk.err().is_some_and(|e| e.to_string().contains("GB18030")));
    }

    #[test]
    fn the_check_tells_what_is_wrong() {
        let mut bad = config();
        bad.delimiter = '，';
        bad.kind_column = Some("k".into());
        bad.zone = "Mars/Olympus".into();
        bad.marks.insert("pay_by".into(), "x".into());
        bad.deadlines.insert("paying".into(), "x".into());
        bad.types.insert("nobody".into(), ColumnType::Int);
        let mut problems = Problems::new();
        bad.check(&mut problems);
        let told: Vec<String> = problems.into_vec().iter().map(|p| p.path.to_string()).collect();
        assert_eq!(told, ["delimiter", "kind", "zone", "marks.pay_by", "deadlines.paying", "types.nobody"]);
    }

    proptest::proptest! {
        #[test]
        fn no_rows_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let text = [HEADER.as_bytes(), &bytes].concat();
            let mut rejects = Rejects::new(false);
            let _ = read_table(&"t".into(), &text[..], &config(), &BTreeSet::new(), &mut rejects).map(drop);
        }

        #[test]
        fn no_instant_makes_it_panic(when in "[-0-9:T Z+.]{0,24}") {
            let (table, rejects) = read(&format!("{HEADER}A,{when},,,,\n"));
            let table = table.map_err(|e| proptest::test_runner::TestCaseError::fail(e.to_string()))?;
            proptest::prop_assert_eq!(table.good + rejects.total(), 1);
        }
    }
}
