//! The templates inside the program. A new file is one line here.

macro_rules! family {
    ($language:literal, $($family:literal),+) => {
        &[$(
            (concat!($family, "/subject.txt"), file!($language, $family, "subject.txt")),
            (concat!($family, "/chat.txt"), file!($language, $family, "chat.txt")),
            (concat!($family, "/sms.txt"), file!($language, $family, "sms.txt")),
            (concat!($family, "/mail.txt"), file!($language, $family, "mail.txt")),
            (concat!($family, "/mail.html"), file!($language, $family, "mail.html")),
            (concat!($family, "/webhook.txt"), file!($language, $family, "webhook.txt")),
        )+]
    };
}

macro_rules! file {
    ($language:literal, $folder:literal, $file:literal) => {
        include_str!(concat!("../../../alerts/templates/", $language, "/", $folder, "/", $file))
    };
}

macro_rules! parts {
    ($language:literal) => {
        &[
            ("parts/marks.txt", file!($language, "parts", "marks.txt")),
            ("parts/due.txt", file!($language, "parts", "due.txt")),
            ("parts/facts.txt", file!($language, "parts", "facts.txt")),
            ("parts/list.txt", file!($language, "parts", "list.txt")),
            ("parts/links.txt", file!($language, "parts", "links.txt")),
            ("parts/begin.html", file!($language, "parts", "begin.html")),
            ("parts/facts.html", file!($language, "parts", "facts.html")),
            ("parts/end.html", file!($language, "parts", "end.html")),
        ]
    };
}

type Files = &'static [(&'static str, &'static str)];

static ZH: [Files; 2] =
    [parts!("zh-CN"), family!("zh-CN", "incident", "over", "digest", "storm", "silence", "canary")];
static EN: [Files; 2] =
    [parts!("en"), family!("en", "incident", "over", "digest", "storm", "silence", "canary")];

/// The words of a language.
pub(super) fn words(language: &str) -> &'static str {
    match language {
        "en" => include_str!("../../../alerts/templates/en/words.toml"),
        _ => include_str!("../../../alerts/templates/zh-CN/words.toml"),
    }
}

fn files(language: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let sets = if language == "en" { &EN } else { &ZH };
    sets.iter().flat_map(|files| files.iter())
}

/// The names of all files of a language; each language has the same.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    files("zh-CN").map(|(name, _)| *name)
}

/// The text of a file.
pub(super) fn text(language: &str, name: &str) -> String {
    files(language).find(|(n, _)| *n == name).map(|(_, text)| (*text).to_owned()).unwrap_or_default()
}
