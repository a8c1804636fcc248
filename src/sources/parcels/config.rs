//! `[couriers.NAME]`: one account at a courier aggregator, and how often it is asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::problem::Problems;
use crate::core::time::Span;
use crate::sources::config::{SourceConfig, SourceFault};
use crate::sources::kuaidi100::Kuaidi100Config;
use crate::sources::parcels::due::Rules;
use crate::sources::parcels::number::Carriers;
use crate::sources::parcels::plan::Settings;
use crate::sources::parcels::{Courier, Number};

/// `[couriers.NAME]`: a courier aggregator (快递查询) that is asked for every parcel that a case of the desk names by its
/// attributes `carrier` and `waybill`, or `return_carrier` and `return_waybill`. It has exactly one section named after
/// the aggregator, such as `[couriers.parcels.kuaidi100]`. `NAME` is the `source` of its cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CourierConfig {
    /// `false` keeps it configured, and asks nothing.
    pub enabled: bool,
    /// The attribute `shop` of its cases.
    pub shop: Option<String>,
    /// How often the desk's cases are looked through for new parcels: 30s to 1h.
    pub look_every: Span,
    /// Two calls for one parcel are never nearer than this: 31m to 24h. Nearer than every 30 minutes, vendors lock it.
    pub floor: Span,
    /// A parcel on its way that is not scanned for so long is in trouble; it is asked for more often from 70 % on.
    pub stall: Span,
    /// A parcel in a locker or station is asked for this long.
    pub pickup_for: Span,
    /// A number of which there is no trace is asked for this long.
    pub no_trace_for: Span,
    /// A parcel of which nothing new comes is asked for this long.
    pub silent_for: Span,
    /// Calls a day, as they are paid for.
    pub per_day: u32,
    /// Parcels that are followed at a time.
    pub most: usize,
    /// The vendor's codes of carriers, by a source's own word for them, or `source/word`: `{ "44" = "yunda" }`. Names and
    /// codes that are seen everywhere are known.
    pub carriers: BTreeMap<String, String>,
    /// Where the vendor reaches this program from outside, such as `https://bell.example.com`: parcels are subscribed
    /// then, and asked for only where the vendor is silent.
    pub callback_url: Option<String>,
    /// Certificates that are trusted beside those of the system (PEM).
    pub ca_file: Option<String>,
    /// The proxy to go through; the environment's is not looked at.
    pub proxy: Option<String>,
    /// Kuaidi100 (快递100).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kuaidi100: Option<Kuaidi100Config>,
}

impl Default for CourierConfig {
    fn default() -> CourierConfig {
        CourierConfig {
            enabled: true,
            shop: None,
            look_every: Span::from_minutes(5),
            floor: Span::HOUR,
            stall: Span::DAY.times(3),
            pickup_for: Span::DAY.times(5),
            no_trace_for: Span::DAY.times(15),
            silent_for: Span::DAY.times(60),
            per_day: 20_000,
            most: 200_000,
            carriers: BTreeMap::new(),
            callback_url: None,
            ca_file: None,
            proxy: None,
            kuaidi100: None,
        }
    }
}

impl CourierConfig {
    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        let day = Span::DAY;
        for (key, span, least, most) in [
            ("look_every", self.look_every, Span::from_secs(30), Span::HOUR),
            ("floor", self.floor, Span::from_minutes(31), day),
            ("stall", self.stall, Span::from_minutes(6 * 60), day.times(30)),
            ("pickup_for", self.pickup_for, day, day.times(30)),
            ("no_trace_for", self.no_trace_for, day, day.times(60)),
            ("silent_for", self.silent_for, day, day.times(60)),
        ] {
            if span < least || span > most {
                problems.within(key, |p| p.error(format!("found {span}, expected {least} to {most}")));
            }
        }
        if !(1..=1_000_000).contains(&self.most) {
            let found = self.most;
            problems.within("most", |p| p.error(format!("found {found}, expected 1 to 1000000")));
        }
        if self.per_day == 0 {
            problems.within("per_day", |p| p.error("found 0, expected at least 1"));
        }
        problems.within("carriers", |problems| {
            for (word, code) in &self.carriers {
                if Number::new(code, "000000").is_none() {
                    problems.within(word.as_str(), |p| {
                        p.error(format!("found `{code}`, expected the vendor's code such as `yuantong`"));
                    });
                }
            }
        });
        let url = self.callback_url.as_deref().map(|text| (text, reqwest::Url::parse(text)));
        match url {
            Some((text, Err(e))) => problems.within("callback_url", |p| {
                p.error(format!("found `{text}`: {e}, expected such as https://bell.example.com"));
            }),
            Some((_, Ok(url))) if !matches!(url.scheme(), "http" | "https") || url.query().is_some() => {
                problems.within("callback_url", |p| {
                    p.error("expected http or https without a query, such as https://bell.example.com");
                });
            }
            _ => {}
        }
        match &self.kuaidi100 {
            Some(section) => problems.within("kuaidi100", |problems| section.check(problems)),
            None => problems.error("has no aggregator, expected one section of: kuaidi100"),
        }
    }

    /// Notes what is wrong between them and the sources: cases of both would be mixed up.
    pub fn check_all(
        couriers: &BTreeMap<String, CourierConfig>,
        sources: &BTreeMap<String, SourceConfig>,
        problems: &mut Problems,
    ) {
        for (name, courier) in couriers {
            problems.within(name.as_str(), |problems| {
                courier.check(problems);
                if sources.contains_key(name) {
                    problems.error(format!("is the name of [sources.{name}] too, expected another one"));
                }
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                if name.is_empty() || !name.chars().all(fits) {
                    problems.error("is no name that an address can hold, expected letters, digits, - and _");
                }
            });
        }
    }

    /// Takes relative paths as seen from `folder`, the one of the file that names the courier.
    pub fn rebase(&mut self, folder: &Path) {
        let sections = self.kuaidi100.as_mut().map(Kuaidi100Config::paths);
        for path in sections.into_iter().flatten().chain([&mut self.ca_file]).flatten() {
            *path = folder.join(&*path).display().to_string();
        }
    }

    /// The aggregator behind it.
    ///
    /// # Errors
    /// A secret that cannot be read, a setting without meaning.
    pub fn courier(&self, env: &BTreeMap<String, String>) -> Result<Arc<dyn Courier>, SourceFault> {
        let missing = || SourceFault::Setting("has no aggregator".to_owned());
        self.kuaidi100.as_ref().ok_or_else(missing)?.courier(env)
    }

    /// The codes of carriers.
    pub fn codes(&self) -> Carriers {
        Carriers::new(&self.carriers)
    }

    /// What the planner goes by.
    pub fn settings(&self) -> Settings {
        let (query_gap, subscribe_gap) = self
            .kuaidi100
            .as_ref()
            .map_or((Span::from_secs(1), Span::from_secs(1)), |k| (k.query_gap, k.subscribe_gap));
        Settings {
            rules: Rules {
                floor: self.floor,
                stall: self.stall,
                pickup_for: self.pickup_for,
                no_trace_for: self.no_trace_for,
                silent_for: self.silent_for,
            },
            push: self.callback_url.is_some(),
            per_day: self.per_day,
            most: self.most,
            query_gap,
            subscribe_gap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::problem::Problem;

    fn problems(text: &str, sources: &[&str]) -> Vec<String> {
        let couriers: BTreeMap<String, CourierConfig> = toml::from_str(text).unwrap();
        let sources = sources.iter().map(|name| ((*name).to_owned(), SourceConfig::default())).collect();
        let mut problems = Problems::new();
        CourierConfig::check_all(&couriers, &sources, &mut problems);
        problems.into_vec().into_iter().map(|Problem { path, text, .. }| format!("{path}: {text}")).collect()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        let good = "[k.kuaidi100]\ncustomer = \"c\"\nkey_env = \"K\"\n";
        assert_eq!(problems(&format!("[k]\n{good}"), &["shop"]), [""; 0]);
        for (lines, want) in [
            ("look_every = \"5s\"\n", "k.look_every: found 5s, expected 30s to 1h"),
            ("floor = \"30m\"\n", "k.floor: found 30m, expected 31m to 24h"),
            ("per_day = 0\n", "k.per_day: found 0, expected at least 1"),
            ("most = 0\n", "k.most: found 0, expected 1 to 1000000"),
            (
                "carriers = { \"44\" = \"圆通\" }\n",
                "k.carriers.44: found `圆通`, expected the vendor's code such as `yuantong`",
            ),
            (
                "callback_url = \"ftp://a.example\"\n",
                "k.callback_url: expected http or https without a query, such as https://bell.example.com",
            ),
        ] {
            assert_eq!(problems(&format!("[k]\n{lines}{good}"), &[]), [want], "{lines}");
        }
        let same = problems(&format!("[k]\n{good}"), &["k"]);
        assert_eq!(same, ["k: is the name of [sources.k] too, expected another one"]);
        assert_eq!(
            problems("[k.kuaidi100]\ngateway = \"http://poll.example\"\n", &[]),
            [
                "k.kuaidi100.customer: is missing, expected the customer of your account",
                "k.kuaidi100.gateway: is not https: everybody on the way could read the tokens",
                "k.kuaidi100: has no key_file, key_env or key_credential",
            ]
        );
        assert_eq!(problems("[k]", &[]), ["k: has no aggregator, expected one section of: kuaidi100"]);
        assert!(toml::from_str::<BTreeMap<String, CourierConfig>>("[k]\ncolour = 1").is_err());
    }
}
