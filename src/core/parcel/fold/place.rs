//! Where a scan was made: the province and the city in a place as couriers write it (`浙江,杭州市`, `广东省深圳市南山区`).

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
}
