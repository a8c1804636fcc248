//! A watched file that is a table (CSV): read as a whole, because its rows have to be sorted by their instants, and within
//! bounds, because it is held in memory.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::core::ids::hex;
use crate::core::model::Observation;
use crate::sources::history::Rejects;
use crate::sources::history::csv::read_table;
use crate::sources::history::import::ImportConfig;
use crate::sources::history::open;

/// The largest, unpacked.
const LARGEST: u64 = 64 << 20;

/// What a table says.
#[derive(Debug)]
pub(super) struct Sheet {
    /// A digest of its bytes: the same name with other contents is another file.
    pub(super) digest: String,
    /// What it says, by instants. The order is the same each time it is read.
    pub(super) seen: Vec<Observation<'static>>,
    /// How many rows could not be used, and the first of them: number as a spreadsheet shows it, and reason.
    pub(super) bad: u64,
    pub(super) told: Vec<(u64, String)>,
}

/// Whether a file is a table, by its name without what it is packed with.
pub(super) fn is_sheet(name: &str) -> bool {
    name.ends_with(".csv")
}

/// Reads a table. Blocks.
///
/// # Errors
/// Why nothing of it can be read.
pub(super) fn read(shown: &str, import: &ImportConfig) -> Result<Sheet, String> {
    let config = import
        .csv
        .as_ref()
        .ok_or("there is no [import.csv] in the configuration, which says what column is what")?;
    let opened = open::open(shown, &|bytes| bytes).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    opened.bytes.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| format!("it broke off: {e}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("it is larger than {} MiB, split it", LARGEST >> 20));
    }
    let mut rejects = Rejects::new(false);
    let read = read_table(&opened.name, io::Cursor::new(&bytes), config, &import.ignore, &mut rejects);
    let table = read.map_err(|e| e.to_string())?;
    if let Some(broken) = table.broken {
        return Err(format!("it broke off: {broken}"));
    }
    Ok(Sheet {
        digest: hex(&Sha256::digest(&bytes)[..16]),
        seen: table.seen.into_iter().map(|(_, seen)| seen).collect(),
        bad: rejects.total(),
        told: rejects.first().iter().map(|reject| (reject.line, reject.reason.clone())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPORT: &str = r#"
[csv]
kind = "order"
source = "erp"
id = "订单号"
marks = { paid = "付款时间", shipped = "发货时间" }
attributes = { shop = "店铺" }
"#;
    const SHEET: &str = "\u{feff}订单号,付款时间,发货时间,店铺\n9007199254740993,2026-03-02 10:00:00,2026-03-03 09:00:00,旗舰店\n\
                         2,soon,,旗舰店\n3,2026-03-01 08:00:00,,奥莱店\n";

    #[test]
    fn a_table_is_read_in_the_order_of_its_instants() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, SHEET).unwrap();
        let shown = path.display().to_string();
        let import: ImportConfig = toml::from_str(IMPORT).unwrap();
        let sheet = read(&shown, &import).unwrap();
        let ids: Vec<(&str, &str)> =
            sheet.seen.iter().map(|o| (o.id.as_ref(), o.marks[0].name.as_ref())).collect();
        assert_eq!(ids, [("3", "paid"), ("9007199254740993", "paid"), ("9007199254740993", "shipped")]);
        assert_eq!((sheet.bad, sheet.told[0].0), (1, 3), "{:?}", sheet.told);
        assert_eq!(read(&shown, &import).unwrap().digest, sheet.digest);
        std::fs::write(&path, SHEET.replace("奥莱店", "旗舰店")).unwrap();
        assert_ne!(read(&shown, &import).unwrap().digest, sheet.digest);
        std::fs::write(&path, "id,when\n1,2\n").unwrap();
        let told = read(&shown, &import).unwrap_err();
        assert!(told.contains("订单号") && told.contains("id, when"), "{told}");
        assert!(read(&shown, &ImportConfig::default()).unwrap_err().contains("[import.csv]"));
    }

    /// A small file that unpacks to a large one.
    #[test]
    fn what_is_held_in_memory_has_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv.zst");
        let packed = zstd::stream::encode_all(io::repeat(b'x').take(LARGEST + 10), 1).unwrap();
        assert!(packed.len() < 100_000);
        std::fs::write(&path, packed).unwrap();
        let told = read(&path.display().to_string(), &toml::from_str(IMPORT).unwrap()).unwrap_err();
        assert_eq!(told, "it is larger than 64 MiB, split it");
    }
}
