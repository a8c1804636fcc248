//! The tables of parcels that stand in files of their own: what texts of scans say, and what the statuses of vendors
//! mean.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::config::loaded::load;
use crate::config::report::ConfigReport;
use crate::core::parcel::lexicon::Lexicon;
use crate::core::parcel::vendor::Vendor;

/// The lexicon inside the program; a file of one's own includes it.
pub const LEXICON: &str = "builtin:parcels/lexicon.toml";

/// The vendors whose tables are inside the program: `builtin:parcels/vendors/NAME.toml`.
pub const VENDORS: [&str; 16] = [
    "17track",
    "aftership",
    "cainiao",
    "easypost",
    "jd",
    "jtexpress",
    "karrio",
    "kdniao",
    "kuaidi100",
    "scan_names",
    "sf",
    "shippo",
    "taobao",
    "trackingmore",
    "wms",
    "yunda",
];

/// The lexicon that begins at the file `main`, or at [`LEXICON`].
///
/// # Errors
/// Every problem, with file, line and key.
pub fn lexicon(main: &Path) -> Result<Lexicon, ConfigReport> {
    let mut loaded = load(main, &BTreeMap::new());
    let mut lexicon = None;
    loaded.check(|config, problems| lexicon = Lexicon::compile(config, problems));
    let (_, report) = loaded.finish()?;
    lexicon.ok_or(report)
}

/// The same, made ready once for all where it is the one inside the program.
///
/// # Errors
/// Every problem, with file, line and key.
pub fn shared(main: &Path) -> Result<Arc<Lexicon>, ConfigReport> {
    static BUILTIN: OnceLock<Arc<Lexicon>> = OnceLock::new();
    if main != Path::new(LEXICON) {
        return lexicon(main).map(Arc::new);
    }
    match BUILTIN.get() {
        Some(known) => Ok(known.clone()),
        None => {
            let made = Arc::new(lexicon(main)?);
            Ok(BUILTIN.get_or_init(|| made).clone())
        }
    }
}

/// The table of a vendor that begins at the file `main`, such as `builtin:parcels/vendors/kuaidi100.toml`.
///
/// # Errors
/// Every problem, with file, line and key.
pub fn vendor(main: &Path) -> Result<Vendor, ConfigReport> {
    let mut loaded = load(main, &BTreeMap::new());
    let mut vendor = None;
    loaded.check(|config, problems| vendor = Vendor::compile(config, problems));
    let (_, report) = loaded.finish()?;
    vendor.ok_or(report)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::core::parcel::vendor::VendorConfig;
    use crate::core::parcel::{Exception, Milestone};

    fn with(text: &str) -> Result<Lexicon, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words.toml");
        std::fs::write(&path, text).unwrap();
        let name = path.to_string_lossy().into_owned();
        lexicon(&path).map_err(|report| report.to_string().replace(&name, "words.toml"))
    }

    #[test]
    fn a_file_of_ones_own_adds_to_the_lexicon() {
        let text = "买家神隐了,包裹躺平";
        assert_eq!(lexicon(Path::new(LEXICON)).unwrap().read(text).exception, None);
        let own = with(
            r#"
            include = ["builtin:parcels/lexicon.toml"]
            [[exception]]
            id      = "X14"
            is      = "contact_failed"
            phrases = ["神隐"]
            [[milestone]]
            id      = "M90"
            is      = "at_pickup_point"
            phrases = ["躺平"]
            "#,
        )
        .unwrap();
        let reading = own.read(text);
        assert_eq!(
            (reading.milestone, reading.exception),
            (Milestone::AtPickupPoint, Some(Exception::ContactFailed))
        );
    }

    #[test]
    fn mistakes_are_told_with_file_line_and_key() {
        for (text, want) in [
            ("[[exception]]\nid = \"X1\"\nis = \"late\"\nphrases = []", "words.toml:3"),
            ("[[exception]]\nid = \"X1\"\nis = \"lost\"\nphrases = [\"{whom}\"]", "exception[0].phrases[0]"),
            ("[[exception]]\nid = \"X1\"\nis = \"lost\"\nphrases = [\"(a\"]", "words.toml:4"),
            ("[[exception]]\nid = \"X1\"\nis = \"lost\"\nwords = [\"a\"]", "words"),
            ("[[pair]]\nid = \"C\"\nis = \"lost\"\none = [\"a…b\"]\nother = [\"c\"]", "expected one word"),
            ("[characters]\ntraditional = \"簽遞\"\nsimplified = \"签\"", "expected as many"),
            (
                "[[milestone]]\nid = \"M\"\nis = \"delivered\"\nphrases = [\"a\"]\n\
                 [[exception]]\nid = \"M\"\nis = \"lost\"\nphrases = [\"b\"]",
                "was given before and means something else",
            ),
        ] {
            let report = with(text).err().unwrap_or_default();
            assert!(report.contains(want), "{text}\n{report}");
        }
    }

    fn table(name: &str) -> VendorConfig {
        let text = crate::config::builtin::text(&format!("parcels/vendors/{name}.toml")).unwrap();
        toml::from_str(text).unwrap()
    }

    /// `logistics` 3: so many codes has each vendor; every table can be used and says whose it is.
    #[test]
    fn every_status_of_every_vendor_is_there() {
        let counts = [
            ("17track", 38),
            ("aftership", 55),
            ("cainiao", 37),
            ("easypost", 38),
            ("jd", 12),
            ("jtexpress", 14),
            ("karrio", 47),
            ("kdniao", 44),
            ("kuaidi100", 36),
            ("scan_names", 13),
            ("sf", 144),
            ("shippo", 24),
            ("taobao", 33),
            ("trackingmore", 2),
            ("wms", 11),
            ("yunda", 26),
        ];
        assert_eq!(counts.map(|(name, _)| name), VENDORS);
        for (name, count) in counts {
            let config = table(name);
            let codes: BTreeSet<(&str, &str)> = config
                .status
                .iter()
                .flat_map(|s| s.code.iter().map(|c| (s.field.as_str(), c.as_str())))
                .collect();
            let all: usize = config.status.iter().map(|s| s.code.len()).sum();
            assert_eq!((codes.len(), all), (count, count), "{name}: each code once");
            let path = format!("builtin:parcels/vendors/{name}.toml");
            let vendor = vendor(path.as_ref()).unwrap_or_else(|report| panic!("{report}"));
            assert_eq!(vendor.name(), name);
            for row in &config.status {
                assert!(
                    row.milestone.is_some()
                        || row.exception.is_some()
                        || row.hint.is_some()
                        || row.field == "status_detail",
                    "{name} {:?} says nothing",
                    row.code
                );
            }
        }
    }

    /// Samples of `logistics` 3, one a rule that is easily broken.
    #[test]
    fn vendors_mean_what_they_say() {
        use Exception as E;
        use Milestone as M;
        for (name, field, code, milestone, exception) in [
            ("kuaidi100", "", "101", M::Registered, None),
            ("kuaidi100", "", "304", M::AtPickupPoint, None),
            ("kuaidi100", "", "2", M::Unknown, Some(E::Unspecified)),
            ("kdniao", "", "401", M::Registered, None),
            ("kdniao", "", "418", M::InTransit, Some(E::PickupOverdue)),
            ("taobao", "action", "CONSIGN", M::Registered, None),
            ("taobao", "status", "物流公司揽收失败", M::Registered, Some(E::PickupFailed)),
            ("cainiao", "", "900", M::AtPickupPoint, None),
            ("sf", "opCode", "123", M::InTransit, None),
            ("sf", "reason", "70+83", M::DeliveryFailed, Some(E::Rescheduled)),
            ("sf", "opCode", "99", M::InTransit, Some(E::Forwarded)),
            ("jd", "", "快递签收", M::PickedUp, None),
            ("17track", "", "Exception_NoBody", M::DeliveryFailed, Some(E::AddressProblem)),
            ("aftership", "", "Exception_009", M::Registered, Some(E::PickupFailed)),
            ("easypost", "status", "unknown", M::NoTrace, None),
            ("karrio", "status", "on_hold", M::InTransit, Some(E::Stranded)),
            ("shippo", "substatus", "package_accepted", M::PickedUp, None),
            ("yunda", "action", "OUTBOUND", M::InTransit, Some(E::PickupOverdue)),
            ("jtexpress", "", "5", M::OutForDelivery, None),
            ("wms", "", "TMS_REJECT", M::Registered, Some(E::PickupFailed)),
            ("scan_names", "", "驿站代收", M::AtPickupPoint, None),
        ] {
            let vendor = vendor(format!("builtin:parcels/vendors/{name}.toml").as_ref()).unwrap();
            let meaning = vendor.meaning(field, code).unwrap_or_else(|| panic!("{name} {code}"));
            assert_eq!((meaning.milestone, meaning.exception), (Some(milestone), exception), "{name} {code}");
        }
    }

    /// What only proves that a parcel lies in a locker or station is no delivery (`logistics` 1.1).
    #[test]
    fn no_vendor_calls_a_locker_a_delivery() {
        let lexicon = lexicon(LEXICON.as_ref()).unwrap();
        for name in VENDORS {
            for row in table(name).status.iter().filter(|row| row.milestone == Some(Milestone::Delivered)) {
                // 311 is told when somebody has taken it out.
                let taken = name == "kdniao" && row.code == ["311"];
                for text in row.code.iter().chain([&row.name]) {
                    let said = lexicon.read(text).milestone;
                    assert!(said != Milestone::AtPickupPoint || taken, "{name} {text}");
                }
            }
        }
    }

    #[test]
    fn a_vendors_table_goes_on_in_a_file_of_ones_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes.toml");
        let own = "include = [\"builtin:parcels/vendors/kuaidi100.toml\"]\n\
                   status = [{ code = [\"1099\", \"8\"], milestone = \"in_transit\", exception = \"missort\" }]";
        std::fs::write(&path, own).unwrap();
        let vendor = vendor(&path).unwrap_or_else(|report| panic!("{report}"));
        let of = |code| vendor.meaning("", code).and_then(|m| m.exception);
        assert_eq!(
            (of("1099"), of("8"), of("13")),
            (Some(Exception::Missort), Some(Exception::Missort), Some(Exception::CustomsHold))
        );
        std::fs::write(&path, "vendor = \"x\"\nstatus = [\n{ code = [\"1\"], milestone = \"gone\" }]")
            .unwrap();
        let report = super::vendor(&path).unwrap_err().to_string();
        assert!(report.contains("codes.toml:3") && report.contains("milestone"), "{report}");
    }
}
