//! The tables of parcels that stand in files of their own: what texts of scans say.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::loaded::load;
use crate::config::report::ConfigReport;
use crate::core::parcel::lexicon::Lexicon;

/// The lexicon inside the program; a file of one's own includes it.
pub const LEXICON: &str = "builtin:parcels/lexicon.toml";

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

#[cfg(test)]
mod tests {
    use super::*;
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
        let text = "客户微信一直不回,包裹躺平";
        assert_eq!(lexicon(Path::new(LEXICON)).unwrap().read(text).exception, None);
        let own = with(
            r#"
            include = ["builtin:parcels/lexicon.toml"]
            [[exception]]
            id      = "X14"
            is      = "contact_failed"
            phrases = ["微信一直不回"]
            [[milestone]]
            id      = "M90"
            is      = "at_pickup_point"
            phrases = ["躺平"]
            "#,
        )
        .unwrap();
        let reading = own.read(text);
        assert_eq!((reading.milestone, reading.exception), (Milestone::AtPickupPoint, Some(Exception::ContactFailed)));
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
}
