//! One file a day, and one a month: written when the day is over in the desk's zone, and the month. Whatever is missing is
//! seen at the next look, so that nothing depends on the program's running at midnight.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::sync::watch;

use crate::config::{Ready, Settings};
use crate::core::model::Language;
use crate::core::time::Instant;
use crate::daemon::reload::Follower;
use crate::store::StoreError;
use crate::store::sqlite::Look;

use super::ClaimsConfig;
use super::list::{Claim, Days, Wanted, list};
use super::sheet::{Style, write_carriers, write_claims};

/// After a downtime so many days are caught up with.
const CATCH_UP: i64 = 31;
const PREFIX: &str = "claims-";
const CARRIERS: &str = "-carriers";
const ENDING: &str = ".csv";
/// What a file is called while it is written.
const HALF: &str = ".half";

/// What daily lists are made by.
#[derive(Clone, Debug)]
pub struct DailyPlan {
    /// `[claims]`.
    pub config: ClaimsConfig,
    /// The desk.
    pub desk: String,
    /// Its zone.
    pub zone: TimeZone,
    /// The language of the lists.
    pub language: Language,
    /// The platforms of the sources.
    pub platforms: BTreeMap<String, &'static str>,
    /// The store.
    pub store: PathBuf,
}

impl DailyPlan {
    /// That of settings.
    pub fn of(settings: &Settings, zone: &TimeZone) -> DailyPlan {
        DailyPlan {
            config: settings.claims.clone(),
            desk: settings.desk.id.clone(),
            zone: zone.clone(),
            language: settings.claims.language.unwrap_or(settings.desk.language),
            platforms: settings.sources.iter().map(|(name, source)| (name.clone(), source.word())).collect(),
            store: settings.store.sqlite.path.clone(),
        }
    }

    /// The claims of some days.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn claims(&self, from: Date, to: Date, now: Instant) -> Result<Vec<Claim>, StoreError> {
        let wanted = Wanted {
            desk: self.desk.clone(),
            days: Days { from, to, zone: self.zone.clone() },
            config: self.config.clone(),
            platforms: self.platforms.clone(),
            now,
        };
        list(&mut Look::open(&self.store)?, &wanted)
    }

    /// How they are written.
    pub fn style(&self) -> Style {
        Style { language: self.language, zone: self.zone.clone(), plain: self.config.plain }
    }
}

/// Goes by other settings after a reload.
#[derive(Debug)]
pub struct Daily {
    /// Where whoever writes learns of it.
    pub plan: watch::Sender<Arc<DailyPlan>>,
}

impl Follower for Daily {
    fn prepare(&self, ready: &Ready) -> Result<Box<dyn FnOnce() + Send>, String> {
        let (plan, next) = (self.plan.clone(), DailyPlan::of(&ready.settings, ready.shifts.zone()));
        Ok(Box::new(move || {
            // The store stays where it was opened.
            plan.send_modify(|now| *now = Arc::new(DailyPlan { store: now.store.clone(), ..next }));
        }))
    }
}

/// Why a list could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DailyError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file or the folder.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// Why.
        reason: io::Error,
    },
}

fn at<T>(path: &Path, done: io::Result<T>) -> Result<T, DailyError> {
    done.map_err(|reason| DailyError::File { path: path.display().to_string(), reason })
}

/// The files of a folder.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// Those of `folder`.
    pub fn new(folder: PathBuf) -> Files {
        Files { folder }
    }

    /// Writes what is missing of what is over, and drops the oldest. Answers what was written, the oldest first. It
    /// blocks.
    ///
    /// # Errors
    /// The store cannot be read, or the folder cannot be written; what was written before stays.
    pub fn write_missing(&self, plan: &DailyPlan, now: Instant) -> Result<Vec<PathBuf>, DailyError> {
        at(&self.folder, fs::create_dir_all(&self.folder))?;
        let today = Days::day(&plan.zone, now);
        let (days, months) = self.there()?;
        let mut written = Vec::new();
        for day in missing(days.iter().next_back().copied(), today) {
            written.push(self.write(&day.to_string(), plan, (day, day), now)?);
        }
        let first = today.first_of_month();
        let month = first.saturating_sub(1.day()).first_of_month();
        if !months.contains(&month) {
            let last = first.saturating_sub(1.day());
            written.push(self.write(&month.strftime("%Y-%m").to_string(), plan, (month, last), now)?);
        }
        if !written.is_empty() {
            self.drop_oldest(plan)?;
        }
        Ok(written)
    }

    /// Writes the list of some days and what its carriers come to; each is there as a whole or not at all.
    fn write(
        &self,
        name: &str,
        plan: &DailyPlan,
        (from, to): (Date, Date),
        now: Instant,
    ) -> Result<PathBuf, DailyError> {
        let claims = plan.claims(from, to, now)?;
        let style = plan.style();
        // The list last: once it is there, the other one is.
        let sums = self.folder.join(format!("{PREFIX}{name}{CARRIERS}{ENDING}"));
        place(&sums, |out| write_carriers(out, &claims, &style))?;
        let path = self.folder.join(format!("{PREFIX}{name}{ENDING}"));
        place(&path, |out| write_claims(out, &claims, &style))?;
        Ok(path)
    }

    /// The days and the months of which there is a list.
    fn there(&self) -> Result<(BTreeSet<Date>, BTreeSet<Date>), DailyError> {
        let (mut days, mut months) = (BTreeSet::new(), BTreeSet::new());
        for entry in at(&self.folder, fs::read_dir(&self.folder))? {
            let name = at(&self.folder, entry)?.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(ENDING))
            else {
                continue;
            };
            if let Ok(day) = name.parse::<Date>() {
                days.insert(day);
            } else if let Ok(month) = format!("{name}-01").parse::<Date>() {
                months.insert(month);
            }
        }
        Ok((days, months))
    }

    /// Only files that are named as ours are dropped.
    fn drop_oldest(&self, plan: &DailyPlan) -> Result<(), DailyError> {
        let (days, months) = self.there()?;
        let days = days.iter().rev().skip(plan.config.keep_days as usize).map(Date::to_string);
        let months = months.iter().rev().skip(plan.config.keep_months as usize);
        for name in days.chain(months.map(|month| month.strftime("%Y-%m").to_string())) {
            for ending in ["", CARRIERS] {
                let path = self.folder.join(format!("{PREFIX}{name}{ending}{ENDING}"));
                match fs::remove_file(&path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return at(&path, Err(e)),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The days without a list: those behind the newest one there is; of a folder without any yesterday alone.
fn missing(newest: Option<Date>, today: Date) -> Vec<Date> {
    let yesterday = today.saturating_sub(1.day());
    let earliest = today.saturating_sub(CATCH_UP.days());
    let from = newest.map_or(yesterday, |newest| newest.saturating_add(1.day()).max(earliest));
    from.series(1.day()).take_while(|day| *day <= yesterday).collect()
}

/// Writes a file aside, syncs it, and gives it its name: whoever looks sees a whole one or none.
pub fn place(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), DailyError> {
    let mut half = path.as_os_str().to_owned();
    half.push(HALF);
    let half = PathBuf::from(half);
    let done = (|| {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&half)?;
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&half, path)?;
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    })();
    if done.is_err() {
        // What is left of it is of no use, and may not be there at all.
        drop(fs::remove_file(&half));
    }
    at(path, done)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::list::tests::{at, incident, keep};
    use super::*;

    #[test]
    fn days_are_caught_up_with_and_none_is_made_up() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let told = |newest: Option<&str>, today: &str| -> Vec<String> {
            missing(newest.map(day), day(today)).iter().map(Date::to_string).collect()
        };
        assert_eq!(told(None, "2026-03-01"), ["2026-02-28"]);
        assert_eq!(told(Some("2026-02-27"), "2026-03-02"), ["2026-02-28", "2026-03-01"]);
        assert_eq!(told(Some("2026-03-01"), "2026-03-02"), [""; 0]);
        assert_eq!(told(Some("2026-03-05"), "2026-03-02"), [""; 0], "the clock was set back");
        assert_eq!(told(Some("2025-01-01"), "2026-03-02").len(), CATCH_UP as usize);
    }

    #[tokio::test]
    async fn the_newest_lists_stay_and_nothing_that_is_not_ours_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        keep(&path, vec![incident("yunda:1", "parcel.lost", at("02T09:00:00"), json!({}))]).await;
        let lists = folder.path().join("lists");
        let config = ClaimsConfig { keep_days: 2, keep_months: 1, plain: true, ..ClaimsConfig::default() };
        let mut plan = DailyPlan {
            config,
            desk: "desk".to_owned(),
            zone: TimeZone::get("Asia/Shanghai").unwrap(),
            language: Language::Zh,
            platforms: BTreeMap::new(),
            store: path,
        };
        let files = Files::new(lists.clone());
        let names = || {
            let mut names: Vec<String> = fs::read_dir(&lists)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        // Just after midnight in Shanghai, which is the day before elsewhere.
        let written = files.write_missing(&plan, at("03T00:00:01")).unwrap();
        assert_eq!(written, [lists.join("claims-2026-03-02.csv"), lists.join("claims-2026-02.csv")]);
        let text = fs::read_to_string(&written[0]).unwrap();
        assert!(text.lines().count() == 2 && text.contains("丢失,lost"), "{text}");
        assert_eq!(fs::read_to_string(&written[1]).unwrap().lines().count(), 1, "nothing, and that is said");
        assert!(files.write_missing(&plan, at("03T23:59:59")).unwrap().is_empty());
        for other in ["claims-notes.csv", "claims-2020-13.csv", "other.csv"] {
            fs::write(lists.join(other), "mine").unwrap();
        }
        // Six days later: five are caught up with, two stay. Then another month.
        assert_eq!(files.write_missing(&plan, at("08T12:00:00")).unwrap().len(), 5);
        let ours = |day: &str| [format!("claims-{day}-carriers.csv"), format!("claims-{day}.csv")];
        let mut want = [ours("2026-03-06"), ours("2026-03-07"), ours("2026-02")].concat();
        want.extend(["claims-notes.csv", "claims-2020-13.csv", "other.csv"].map(str::to_owned));
        want.sort();
        assert_eq!(names(), want);
        let april: Instant = "2026-04-01T06:00:00+08:00".parse().unwrap();
        let written = files.write_missing(&plan, april).unwrap();
        assert_eq!(written.last(), Some(&lists.join("claims-2026-03.csv")));
        let month = fs::read_to_string(lists.join("claims-2026-03.csv")).unwrap();
        assert!(month.contains("yunda") || month.contains("丢失"), "{month}");
        assert!(!names().contains(&"claims-2026-02.csv".to_owned()));
        // A store that is not there, a folder that is a file: told with the place.
        plan.store = folder.path().join("no.db");
        let may: Instant = "2026-04-03T06:00:00+08:00".parse().unwrap();
        let told = files.write_missing(&plan, may).unwrap_err().to_string();
        assert!(told.contains("no.db: there is no such file"), "{told}");
        let told = Files::new(lists.join("other.csv")).write_missing(&plan, may).unwrap_err().to_string();
        assert!(told.contains("other.csv"), "{told}");
        assert!(!names().iter().any(|name| name.ends_with(HALF)));
    }
}
