//! Claims as CSV (RFC 4180), as spreadsheets and programs read it: UTF-8 with its mark, CRLF, nothing that a spreadsheet
//! would run.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::tz::TimeZone;

use crate::core::model::Language;
use crate::core::time::Instant;
use crate::sources::parcels::carrier_title;

use super::list::{Claim, ClaimState, Days, Evidence};

/// A number of more digits is shown as 7.53E+13 by spreadsheets, and of more than 15 they keep only the first.
const DIGITS: usize = 11;

/// The columns of claims: Chinese, English.
const CLAIMS: [(&str, &str); 18] = [
    ("日期", "date"),
    ("异常类型", "kind"),
    ("异常类型(英文)", "kind_en"),
    ("同时", "also"),
    ("店铺", "shop"),
    ("平台", "platform"),
    ("订单号", "order"),
    ("运单号", "waybill"),
    ("快递公司", "carrier"),
    ("异常起始时间", "since"),
    ("货值", "goods_value"),
    ("预计赔付", "penalty"),
    ("凭证时间", "evidence_at"),
    ("凭证地点", "evidence_place"),
    ("凭证内容", "evidence"),
    ("状态", "state"),
    ("结束时间", "ended_at"),
    ("链接", "link"),
];
const INCIDENT: (&str, &str) = ("事件编号", "incident");

/// The columns of what each carrier comes to.
const CARRIERS: [(&str, &str); 6] = [
    ("快递公司", "carrier"),
    ("件数", "parcels"),
    ("未结件数", "open"),
    ("货值合计", "goods_value"),
    ("货值未知件数", "goods_value_unknown"),
    ("预计赔付合计", "penalty"),
];

fn pick(language: Language, pair: (&'static str, &'static str)) -> &'static str {
    match language {
        Language::Zh => pair.0,
        Language::En => pair.1,
    }
}

/// The headers of claims.
pub fn headers(language: Language) -> Vec<&'static str> {
    CLAIMS.into_iter().chain([INCIDENT]).map(|pair| pick(language, pair)).collect()
}

impl ClaimState {
    fn text(self, language: Language) -> &'static str {
        let pair = match self {
            ClaimState::Open => ("待处理", "open"),
            ClaimState::Acked => ("处理中", "in hand"),
            ClaimState::Snoozed => ("已延后", "put off"),
            ClaimState::Recovered => ("已恢复(轨迹显示)", "closed: recovered"),
            ClaimState::Done => ("已处理(人工)", "closed: by a person"),
        };
        pick(language, pair)
    }

    fn is_open(self) -> bool {
        matches!(self, ClaimState::Open | ClaimState::Acked | ClaimState::Snoozed)
    }
}

/// Cents as `12.34`.
fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

/// Local time, to the second.
fn local(zone: &TimeZone, at: Instant) -> String {
    at.to_timestamp().to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// How cells are written.
struct Cells {
    plain: bool,
}

impl Cells {
    /// A cell of words: what a spreadsheet would take for a formula begins with an apostrophe, and control characters
    /// are gone.
    fn text(&self, text: &str) -> String {
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if formula { format!("'{line}") } else { line }
    }

    /// A number that is a name: a tab behind it makes spreadsheets keep all of it.
    fn number(&self, text: &str) -> String {
        let digits = text.len() > DIGITS && text.bytes().all(|b| b.is_ascii_digit());
        if digits && !self.plain { format!("{text}\t") } else { self.text(text) }
    }
}

/// How a list is written.
#[derive(Clone, Debug)]
pub struct Style {
    /// Of headers and words.
    pub language: Language,
    /// Of times.
    pub zone: TimeZone,
    /// Without what only spreadsheets need.
    pub plain: bool,
}

fn writer<W: Write>(mut out: W, plain: bool) -> io::Result<csv::Writer<W>> {
    if !plain {
        out.write_all("\u{feff}".as_bytes())?;
    }
    let mut builder = csv::WriterBuilder::new();
    Ok(builder.terminator(csv::Terminator::CRLF).from_writer(out))
}

/// Writes claims, in the order that they are given in.
///
/// # Errors
/// `out` cannot be written.
pub fn write_claims(out: impl Write, claims: &[Claim], style: &Style) -> io::Result<()> {
    let (language, cells) = (style.language, Cells { plain: style.plain });
    let mut csv = writer(out, style.plain)?;
    csv.write_record(headers(language))?;
    let time = |at: Option<Instant>| at.map(|at| local(&style.zone, at)).unwrap_or_default();
    let text = |text: &Option<String>| cells.text(text.as_deref().unwrap_or_default());
    let number = |text: &Option<String>| cells.number(text.as_deref().unwrap_or_default());
    for claim in claims {
        let name = |kind: super::Kind| match language {
            Language::Zh => kind.chinese(),
            Language::En => kind.word(),
        };
        let also: Vec<&str> = claim.also.iter().map(|kind| name(*kind)).collect();
        csv.write_record([
            Days::day(&style.zone, claim.told_at).to_string(),
            name(claim.kind).to_owned(),
            claim.kind.word().to_owned(),
            also.join(if language == Language::Zh { "、" } else { "; " }),
            text(&claim.shop),
            text(&claim.platform),
            number(&claim.order),
            number(&claim.waybill),
            cells.text(&carrier_name(claim.carrier.as_deref(), language)),
            local(&style.zone, claim.since),
            claim.goods.map(money).unwrap_or_default(),
            if claim.penalty == 0 { String::new() } else { money(claim.penalty) },
            time(claim.evidence.at),
            text(&claim.evidence.place),
            cells.text(&words(&claim.evidence, language)),
            claim.state.text(language).to_owned(),
            time(claim.ended),
            text(&claim.url),
            claim.incident.to_string(),
        ])?;
    }
    csv.flush()
}

/// In the courier's words; without them, what the instant and the place beside it are.
fn words(evidence: &Evidence, language: Language) -> String {
    match (&evidence.words, evidence.at) {
        (Some(words), _) => words.clone(),
        (None, Some(_)) => {
            pick(language, ("最后一次扫描,此后无轨迹", "last scan, and nothing since")).to_owned()
        }
        (None, None) => String::new(),
    }
}

fn carrier_name(code: Option<&str>, language: Language) -> String {
    let code = code.unwrap_or_default();
    let title = carrier_title(code).filter(|_| language == Language::Zh);
    title.unwrap_or(code).to_owned()
}

/// What the claims at one carrier come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carrier {
    /// How many parcels.
    pub parcels: u64,
    /// How many of them are not over.
    pub open: u64,
    /// What their goods are worth, in cents.
    pub goods: i64,
    /// Of how many that is not known.
    pub unknown: u64,
    /// What the platform takes, in cents.
    pub penalty: i64,
}

/// What claims come to, carrier by carrier, by the aggregator's codes.
pub fn carriers(claims: &[Claim]) -> BTreeMap<String, Carrier> {
    let mut carriers: BTreeMap<String, Carrier> = BTreeMap::new();
    for claim in claims {
        let sum = carriers.entry(claim.carrier.clone().unwrap_or_default()).or_default();
        sum.parcels += 1;
        sum.open += u64::from(claim.state.is_open());
        sum.goods = sum.goods.saturating_add(claim.goods.unwrap_or(0));
        sum.unknown += u64::from(claim.goods.is_none());
        sum.penalty = sum.penalty.saturating_add(claim.penalty);
    }
    carriers
}

/// Writes what claims come to: one row a carrier.
///
/// # Errors
/// `out` cannot be written.
pub fn write_carriers(out: impl Write, claims: &[Claim], style: &Style) -> io::Result<()> {
    let cells = Cells { plain: style.plain };
    let mut csv = writer(out, style.plain)?;
    csv.write_record(CARRIERS.map(|pair| pick(style.language, pair)))?;
    for (carrier, sum) in carriers(claims) {
        csv.write_record([
            cells.text(&carrier_name(Some(&carrier), style.language)),
            sum.parcels.to_string(),
            sum.open.to_string(),
            money(sum.goods),
            sum.unknown.to_string(),
            money(sum.penalty),
        ])?;
    }
    csv.flush()
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;
    use crate::core::ids::InstallationKey;
    use crate::core::model::Subject;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn claim(carrier: &str, goods: Option<i64>) -> Claim {
        Claim {
            kind: Kind::Damaged,
            also: Vec::new(),
            told_at: at("2026-03-01T16:30:00Z"),
            since: at("2026-03-01T15:59:59Z"),
            subject: Subject { kind: "parcel".into(), source: "k".into(), id: "1".into() },
            shop: None,
            platform: None,
            order: None,
            waybill: None,
            carrier: Some(carrier.to_owned()),
            goods,
            penalty: 0,
            evidence: Evidence::default(),
            state: ClaimState::Open,
            ended: None,
            url: None,
            incident: InstallationKey::new([1; 32]).id(&[b"x"]),
        }
    }

    fn style(language: Language, plain: bool) -> Style {
        Style { language, zone: TimeZone::get("Asia/Shanghai").unwrap(), plain }
    }

    fn written(claims: &[Claim], style: &Style) -> String {
        let mut out = Vec::new();
        write_claims(&mut out, claims, style).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_row_is_what_a_spreadsheet_and_a_program_read_alike() {
        let full = Claim {
            also: vec![Kind::Missing, Kind::Weight],
            shop: Some("旗舰店, \"一号\"".into()),
            platform: Some("taobao".into()),
            order: Some("3758290185723910482".into()),
            waybill: Some("YT0000000000001".into()),
            penalty: 305,
            evidence: Evidence {
                at: Some(at("2026-03-02T02:12:00Z")),
                place: Some("上海".into()),
                words: Some("外包装破损\r\n=1+1".into()),
            },
            state: ClaimState::Done,
            ended: Some(at("2026-03-03T00:00:00Z")),
            url: Some("https://example.com/a?b=1".into()),
            ..claim("yuantong", Some(123_405))
        };
        let text = written(std::slice::from_ref(&full), &style(Language::Zh, false));
        let id = full.incident;
        assert_eq!(
            text,
            format!(
                "\u{feff}日期,异常类型,异常类型(英文),同时,店铺,平台,订单号,运单号,快递公司,异常起始时间,货值,预计赔付,\
                 凭证时间,凭证地点,凭证内容,状态,结束时间,链接,事件编号\r\n\
                 2026-03-02,破损,damaged,疑似丢失、重量异常,\"旗舰店, \"\"一号\"\"\",taobao,3758290185723910482\t,\
                 YT0000000000001,圆通,2026-03-01 23:59:59,1234.05,3.05,2026-03-02 10:12:00,上海,外包装破损  =1+1,\
                 已处理(人工),2026-03-03 08:00:00,https://example.com/a?b=1,{id}\r\n"
            )
        );
        let plain = written(&[full], &style(Language::En, true));
        assert!(plain.starts_with("date,kind,kind_en,also,"), "{plain}");
        assert!(plain.contains(",3758290185723910482,YT0000000000001,yuantong,"), "{plain}");
        assert!(plain.contains("damaged,damaged,missing; weight,"), "{plain}");
    }

    /// What begins like a formula is a text, whatever stands before the sign.
    #[test]
    fn nothing_in_a_cell_is_run() {
        for start in ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"] {
            let shop = format!("{start}cmd|' /C calc'!A0");
            let claim = Claim { shop: Some(shop.clone()), order: Some(shop), ..claim("=x", None) };
            let text = written(&[claim], &style(Language::En, false));
            let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
            let row = reader.records().next().unwrap().unwrap();
            for cell in &row {
                assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '＝']), "{cell:?}");
            }
            assert_eq!(row.len(), headers(Language::En).len());
        }
    }

    #[test]
    fn every_cell_reads_back() {
        for text in ["a,b", "a\"b", "\"", "多\u{3000}字", "'", "a;b", " x ", "，"] {
            let claim = Claim { shop: Some(text.to_owned()), ..claim("sf", None) };
            let text_out = written(&[claim], &style(Language::En, true));
            let mut reader = csv::Reader::from_reader(text_out.as_bytes());
            let row = reader.records().next().unwrap().unwrap();
            assert_eq!(&row[4], text);
        }
    }

    #[test]
    fn carriers_add_up_to_their_rows() {
        let done = Claim { state: ClaimState::Recovered, penalty: 500, ..claim("zhongtong", Some(1)) };
        let claims = [claim("yuantong", Some(10_000)), claim("yuantong", None), done, claim("none", Some(5))];
        let mut out = Vec::new();
        write_carriers(&mut out, &claims, &style(Language::Zh, true)).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "快递公司,件数,未结件数,货值合计,货值未知件数,预计赔付合计\r\nnone,1,1,0.05,0,0.00\r\n\
             圆通,2,2,100.00,1,0.00\r\n中通,1,0,0.01,0,5.00\r\n"
        );
    }
}
