//! The list of lost, damaged and wrong parcels as the program makes it, beside a running desk.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::hostile::world::{World, wait_for};

const LONG: Duration = Duration::from_secs(60);
const HOURS: i64 = 3600;

/// An event of a parcel so many seconds ago.
fn event(id: &str, ago: i64, event: &str, attrs: &str) -> String {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(ago);
    format!(
        "{{\"at\":\"{at}\",\"source\":\"k100\",\"kind\":\"parcel\",\"id\":\"{id}\",\"event\":\"{event}\",\
         \"attrs\":{{{attrs}}}}}\n"
    )
}

/// The rows of a list, each as its cells.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect()
}

#[test]
fn the_claims_of_a_running_desk_are_a_list() {
    let world = World::new();
    world.configure(&[
        ("[desk]", "include = [\"builtin:policies/parcels.toml\"]\n[claims]\nfolder = \"./lists\"\n\n[desk]"),
        ("[kinds.ticket]", "[kinds.order]\nfinal = [\"closed\"]\n\n[kinds.aftersale]\nfinal = [\"closed\"]\n\n[kinds.parcel]\nfinal = [\"done\"]\n\n[kinds.ticket]"),
        ("zone = \"UTC\"", "zone = \"Asia/Shanghai\""),
    ]);
    let program = world.start();
    let on_its_way = |n: u8| {
        format!(
            "\"status\":\"in_transit\",\"direction\":\"out\",\"carrier\":\"yuantong\",\"waybill\":\"YT000000000000{n}\""
        )
    };
    let of_order =
        "\"order\":\"3758290185723910482\",\"shop\":\"=旗舰店\",\"platform\":\"taobao\",\"value\":199.5";
    let words = "\"evidence\":\"2026-03-02T02:12:00Z damaged 上海|外包装破损,快递员:张三 13812345678\"";
    let file = [
        // A week without a scan, in a moment.
        event(
            "yuantong:YT0000000000002",
            168 * HOURS - 5,
            "last_scan",
            &format!("{},\"value\":50", on_its_way(2)),
        ),
        event("yuantong:YT0000000000003", 2 * HOURS, "last_scan", &on_its_way(3)),
        // Nothing is wrong with this one.
        event("yuantong:YT0000000000004", HOURS, "last_scan", &on_its_way(4)),
        event("yuantong:YT0000000000001", HOURS, "last_scan", &on_its_way(1)),
        event(
            "yuantong:YT0000000000001",
            0,
            "reported",
            &format!("\"exception\":\"damaged\",{of_order},{words}"),
        ),
        // Lost, and found again below.
        event("yuantong:YT0000000000003", 0, "reported", "\"exception\":\"lost\""),
    ];
    world.drop_file("parcels.jsonl", file.concat().as_bytes());
    for family in ["parcel.damaged", "parcel.missing", "parcel.lost"] {
        wait_for(&format!("an incident of {family}: {}", world.log()), LONG, || world.open(family).pop());
    }
    let found = event("yuantong:YT0000000000003", 0, "last_scan", "\"exception\":\"none\"");
    world.drop_file("found.jsonl", found.as_bytes());
    wait_for("its end", LONG, || world.open("parcel.lost").is_empty().then_some(()));

    // Beside the running program: from yesterday on, should it be midnight.
    let today = jiff::Timestamp::now().in_tz("Asia/Shanghai").expect("a zone").date();
    let (from, to) =
        (today.yesterday().expect("a day").to_string(), today.tomorrow().expect("a day").to_string());
    let days = ["export", "claims", "--from", &from, "--to", &to];
    let text = world.shiftbell(&days);
    assert!(text.starts_with('\u{feff}') && text.ends_with("\r\n"), "{text}");
    assert_eq!(world.shiftbell(&days), text, "the same as often as it is asked");
    let list = rows(text.trim_start_matches('\u{feff}'));
    let column =
        |name: &str| list[0].iter().position(|n| n == name).unwrap_or_else(|| panic!("{name}: {list:?}"));
    let told: Vec<[&str; 8]> = list[1..]
        .iter()
        .map(|row| {
            ["异常类型", "异常类型(英文)", "店铺", "订单号", "运单号", "快递公司", "货值", "状态"]
                .map(|name| row[column(name)].as_str())
        })
        .collect();
    assert_eq!(
        told,
        [
            ["丢失", "lost", "", "", "YT0000000000003", "圆通", "", "已恢复(轨迹显示)"],
            [
                "破损",
                "damaged",
                "'=旗舰店",
                "3758290185723910482\t",
                "YT0000000000001",
                "圆通",
                "199.50",
                "待处理"
            ],
            ["疑似丢失", "missing", "", "", "YT0000000000002", "圆通", "50.00", "待处理"],
        ],
        "{text}"
    );
    let evidence = ["凭证时间", "凭证地点", "凭证内容"].map(|name| list[2][column(name)].as_str());
    assert_eq!(evidence, ["2026-03-02 10:12:00", "上海", "外包装破损,快递员:张** 138****5678"]);
    assert_eq!(list[3][column("预计赔付")], "5.00", "five percent, and at least five yuan");

    // In English, for programs, into a file; what it comes to is told beside it.
    let output = Command::new(env!("CARGO_BIN_EXE_shiftbell"))
        .args(days)
        .args(["--language", "en", "--plain", "--out", "claims.csv"])
        .current_dir(world.path(""))
        .env_clear()
        .output()
        .expect("the program is built");
    let summary = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && output.stdout.is_empty(), "{summary}");
    assert!(
        summary.contains("yuantong: 3 parcels, 2 open, goods 249.50 (1 unknown), penalty 5.00"),
        "{summary}"
    );
    let text = fs::read_to_string(world.path("claims.csv")).expect("the list");
    assert!(text.starts_with("date,kind,kind_en,also,shop,platform,order,waybill,carrier,"), "{text}");
    assert!(text.contains(",taobao,3758290185723910482,YT0000000000001,yuantong,"), "{text}");

    // The day before, and the month before, are there by themselves.
    let yesterday = world.path("lists").join(format!("claims-{from}.csv"));
    wait_for("the list of yesterday", LONG, || yesterday.exists().then_some(()));
    let month = today.first_of_month().yesterday().expect("a day").strftime("%Y-%m").to_string();
    wait_for("the list of last month", LONG, || {
        world.path("lists").join(format!("claims-{month}.csv")).exists().then_some(())
    });
    program.stop();

    // What is wrong is told by what it is.
    let refused = |args: &[&str], want: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_shiftbell"))
            .args(["export", "claims"])
            .args(args)
            .current_dir(world.path(""))
            .env_clear()
            .output()
            .expect("the program is built");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(want), "{args:?}: {text}");
    };
    refused(&["--from", "2026-02-30"], "expected a day of the calendar such as 2026-03-31");
    refused(&["--from", "2026-03-02", "--to", "2026-03-01"], "--from 2026-03-02 is after --to 2026-03-01");
    refused(&["--store", "nowhere.db"], "nowhere.db: there is no such file");
    refused(&["--desk", "other"], "there is no desk `other`, only hostile");
    refused(&["--out", "nowhere/claims.csv"], "nowhere/claims.csv");
    refused(&["--config", "nowhere.toml"], "nowhere.toml");
}
