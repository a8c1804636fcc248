//! The files of `config/` that are inside the program, so that a bare binary can name them in `include`.

/// What such a name begins with: `builtin:policies/handbook.toml`.
pub const PREFIX: &str = "builtin:";

/// Name below `config/`, and text. A new file is one line here.
static FILES: &[(&str, &str)] = &[
    ("shiftbell.toml", include_str!("../../config/shiftbell.toml")),
    ("calendars/cn_holidays.toml", include_str!("../../config/calendars/cn_holidays.toml")),
    ("calendars/desks.toml", include_str!("../../config/calendars/desks.toml")),
    ("policies/handbook.toml", include_str!("../../config/policies/handbook.toml")),
    ("policies/parcels.toml", include_str!("../../config/policies/parcels.toml")),
    ("parcels/lexicon.toml", include_str!("../../config/parcels/lexicon.toml")),
    ("parcels/vendors/17track.toml", include_str!("../../config/parcels/vendors/17track.toml")),
    ("parcels/vendors/aftership.toml", include_str!("../../config/parcels/vendors/aftership.toml")),
    ("parcels/vendors/cainiao.toml", include_str!("../../config/parcels/vendors/cainiao.toml")),
    ("parcels/vendors/easypost.toml", include_str!("../../config/parcels/vendors/easypost.toml")),
    ("parcels/vendors/jd.toml", include_str!("../../config/parcels/vendors/jd.toml")),
    ("parcels/vendors/jtexpress.toml", include_str!("../../config/parcels/vendors/jtexpress.toml")),
    ("parcels/vendors/karrio.toml", include_str!("../../config/parcels/vendors/karrio.toml")),
    ("parcels/vendors/kdniao.toml", include_str!("../../config/parcels/vendors/kdniao.toml")),
    ("parcels/vendors/kuaidi100.toml", include_str!("../../config/parcels/vendors/kuaidi100.toml")),
    ("parcels/vendors/scan_names.toml", include_str!("../../config/parcels/vendors/scan_names.toml")),
    ("parcels/vendors/sf.toml", include_str!("../../config/parcels/vendors/sf.toml")),
    ("parcels/vendors/shippo.toml", include_str!("../../config/parcels/vendors/shippo.toml")),
    ("parcels/vendors/taobao.toml", include_str!("../../config/parcels/vendors/taobao.toml")),
    ("parcels/vendors/trackingmore.toml", include_str!("../../config/parcels/vendors/trackingmore.toml")),
    ("parcels/vendors/wms.toml", include_str!("../../config/parcels/vendors/wms.toml")),
    ("parcels/vendors/yunda.toml", include_str!("../../config/parcels/vendors/yunda.toml")),
    ("roster.toml", include_str!("../../config/roster.toml")),
    ("examples/demo.toml", include_str!("../../config/examples/demo.toml")),
    ("examples/first-alert.toml", include_str!("../../config/examples/first-alert.toml")),
    ("examples/first-alert.jsonl", include_str!("../../config/examples/first-alert.jsonl")),
    ("examples/olist.toml", include_str!("../../config/examples/olist.toml")),
    ("examples/shop.toml", include_str!("../../config/examples/shop.toml")),
];

/// The text of the file of this name, without the prefix.
pub fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// The names of all of them, without the prefix.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}
