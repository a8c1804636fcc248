//! Where a scan was made: the province and the city in a place as couriers write it (`浙江,杭州市`, `广东省深圳市南山区`).

use std::sync::LazyLock;

/// The provinces (省级行政区), as places begin with them.
const PROVINCES: [&str; 34] = [
    "北京",
    "天津",
    "上海",
    "重庆",
    "香港",
    "澳门",
    "河北",
    "山西",
    "辽宁",
    "吉林",
    "黑龙江",
    "江苏",
    "浙江",
    "安徽",
    "福建",
    "江西",
    "山东",
    "河南",
    "湖北",
    "湖南",
    "广东",
    "海南",
    "四川",
    "贵州",
    "云南",
    "陕西",
    "甘肃",
    "青海",
    "台湾",
    "内蒙古",
    "广西",
    "西藏",
    "宁夏",
    "新疆",
];
/// So many of them are cities.
const CITIES: usize = 6;
/// What may stand between a province and the rest.
const AFTER: [&str; 7] = ["维吾尔自治区", "壮族自治区", "回族自治区", "自治区", "特别行政区", "省", "市"];

/// Which provinces border on which, by their places in [`PROVINCES`]; 海南 on 广东 and 台湾 on 福建, where the parcels go.
const BORDERS: [(&str, &str); 34] = [
    ("北京", "天津河北"),
    ("天津", "北京河北"),
    ("上海", "江苏浙江"),
    ("重庆", "湖北湖南贵州四川陕西"),
    ("香港", "广东澳门"),
    ("澳门", "广东香港"),
    ("河北", "北京天津山西内蒙古辽宁山东河南"),
    ("山西", "河北内蒙古陕西河南"),
    ("辽宁", "河北内蒙古吉林"),
    ("吉林", "辽宁内蒙古黑龙江"),
    ("黑龙江", "吉林内蒙古"),
    ("江苏", "上海浙江安徽山东"),
    ("浙江", "上海江苏安徽江西福建"),
    ("安徽", "江苏浙江江西湖北河南山东"),
    ("福建", "浙江江西广东台湾"),
    ("江西", "浙江安徽福建广东湖南湖北"),
    ("山东", "河北河南安徽江苏"),
    ("河南", "河北山西陕西湖北安徽山东"),
    ("湖北", "河南安徽江西湖南重庆陕西"),
    ("湖南", "湖北江西广东广西贵州重庆"),
    ("广东", "福建江西湖南广西海南香港澳门"),
    ("海南", "广东"),
    ("四川", "重庆贵州云南西藏青海甘肃陕西"),
    ("贵州", "四川重庆湖南广西云南"),
    ("云南", "四川贵州广西西藏"),
    ("陕西", "山西河南湖北重庆四川甘肃宁夏内蒙古"),
    ("甘肃", "陕西四川青海新疆内蒙古宁夏"),
    ("青海", "甘肃四川西藏新疆"),
    ("台湾", "福建"),
    ("内蒙古", "黑龙江吉林辽宁河北山西陕西宁夏甘肃"),
    ("广西", "广东湖南贵州云南"),
    ("西藏", "四川云南青海新疆"),
    ("宁夏", "陕西甘肃内蒙古"),
    ("新疆", "甘肃青海西藏"),
];

/// How many borders lie between any two, by their places.
static BETWEEN: LazyLock<[[u8; PROVINCES.len()]; PROVINCES.len()]> = LazyLock::new(|| {
    // One bit a province.
    let near = BORDERS.map(|(_, near)| {
        let names = PROVINCES.iter().enumerate().filter(|(_, name)| near.contains(**name));
        names.fold(0_u64, |all, (bit, _)| all | 1 << bit)
    });
    std::array::from_fn(|from| {
        let (mut reached, mut between) = (1_u64 << from, [0; PROVINCES.len()]);
        for count in 1..=PROVINCES.len() as u8 {
            let next = (0..near.len()).filter(|bit| reached & 1 << bit != 0).map(|bit| near[bit]);
            let new = next.fold(0, |all, bits| all | bits) & !reached;
            let is_new = |bit: &usize| new & 1 << bit != 0;
            (0..near.len()).filter(is_new).for_each(|bit| between[bit] = count);
            reached |= new;
        }
        between
    })
});

/// How many borders lie between two provinces; `None` where one is none.
pub fn borders_between(from: &str, to: &str) -> Option<u8> {
    let place = |name: &str| PROVINCES.iter().position(|known| *known == name);
    Some(BETWEEN[place(from)?][place(to)?])
}

/// The province of a place; `None` where it does not begin with one.
pub fn province(place: &str) -> Option<&'static str> {
    let place = place.trim_start();
    PROVINCES.into_iter().find(|name| place.starts_with(name))
}

/// The city of a place, without 市; `None` where it has none.
pub fn city(place: &str) -> Option<&str> {
    let place = place.trim_start();
    let at = PROVINCES.iter().position(|name| place.starts_with(name))?;
    let (province, rest) = place.split_at(PROVINCES[at].len());
    if at < CITIES {
        return Some(province);
    }
    let rest = AFTER.iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    let parts = |c: char| c.is_whitespace() || matches!(c, ',' | '，' | '-' | '/' | '·');
    let city = rest.trim_start_matches(parts).split(parts).next()?;
    let city = city.find('市').map_or(city, |end| &city[..end]);
    (!city.is_empty()).then_some(city)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_couriers_write_them() {
        for (place, want) in [
            ("浙江,杭州市", Some(("浙江", Some("杭州")))),
            ("广东省深圳市南山区", Some(("广东", Some("深圳")))),
            ("上海,浦东新区", Some(("上海", Some("上海")))),
            ("北京市朝阳区", Some(("北京", Some("北京")))),
            ("新疆维吾尔自治区 乌鲁木齐市", Some(("新疆", Some("乌鲁木齐")))),
            ("内蒙古", Some(("内蒙古", None))),
            ("吉林,吉林市", Some(("吉林", Some("吉林")))),
            ("新疆，市", Some(("新疆", None))),
            ("杭州转运中心", None),
            ("", None),
        ] {
            assert_eq!(province(place).map(|province| (province, city(place))), want, "{place}");
        }
    }

    #[test]
    fn borders_are_borders_of_both_and_lead_everywhere() {
        for ((name, near), known) in BORDERS.iter().zip(PROVINCES) {
            assert_eq!(*name, known);
            for other in PROVINCES.iter().filter(|other| near.contains(**other)) {
                assert_eq!((borders_between(name, other), borders_between(other, name)), (Some(1), Some(1)));
            }
            let named: usize = PROVINCES.iter().filter(|p| near.contains(**p)).map(|p| p.len()).sum();
            assert_eq!(named, near.len(), "{name}: each of them is a province");
            let far = PROVINCES.iter().filter(|other| borders_between(name, other) == Some(0));
            assert_eq!(far.collect::<Vec<_>>(), [name], "every other one is reached");
        }
        for (from, to, want) in [("浙江", "浙江", 0), ("浙江", "湖南", 2), ("广东", "新疆", 4)] {
            assert_eq!(borders_between(from, to), Some(want), "{from} to {to}");
        }
        assert_eq!(borders_between("浙江", "杭州"), None);
    }
}
