//! Texts of scans a second on one core, against what one would write first: `contains` of every phrase in turn.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shiftbell::config::parcels::{LEXICON, lexicon};
use shiftbell::core::parcel::lexicon::{By, Lexicon};

/// The texts of the tests.
fn texts() -> Vec<&'static str> {
    let own = include_str!("../tests/fixtures/parcels/scan_texts.txt");
    let texts = own.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split('|').next());
    texts.filter(|text| !text.is_empty()).collect()
}

/// Every text that a phrase of the lexicon stands for, as far as the sample of texts needs them: the words that were
/// heard in it. The naive loop is asked for a small part of what the lexicon knows, and for none of its negations.
fn phrases(lexicon: &Lexicon, texts: &[&str]) -> Vec<String> {
    let mut phrases: Vec<String> = Vec::new();
    for text in texts {
        let heard = lexicon.read(text).evidence;
        for evidence in heard.iter().filter(|e| e.by == By::Lexicon) {
            phrases.extend(evidence.phrase.split('…').map(str::to_owned));
        }
    }
    phrases.sort();
    phrases.dedup();
    phrases
}

fn reading(c: &mut Criterion) {
    let lexicon = lexicon(LEXICON.as_ref()).unwrap();
    let texts = texts();
    let few = phrases(&lexicon, &texts);
    // As many as the tables of `logistics` 4 have, and as many texts as our phrases stand for.
    let loops = [589, 30_000].map(|n| few.iter().cycle().take(n).cloned().collect::<Vec<String>>());
    println!("{} texts; {} different words heard in them", texts.len(), few.len());
    let mut group = c.benchmark_group("lexicon");
    group.throughput(Throughput::Elements(texts.len() as u64));
    group.bench_function("read", |b| {
        b.iter(|| texts.iter().filter(|text| black_box(lexicon.read(text)).exception.is_some()).count());
    });
    for phrases in &loops {
        group.bench_function(format!("contains, {} phrases", phrases.len()), |b| {
            let found = |text: &&&str| {
                let text = text.to_lowercase();
                phrases.iter().filter(|phrase| black_box(text.contains(phrase.as_str()))).count() > 0
            };
            b.iter(|| texts.iter().filter(found).count());
        });
    }
    group.finish();
    let mut group = c.benchmark_group("lexicon, one text of 100 kB");
    for part in ["电话", "客户要求", "如有", "签收人"] {
        let text = part.repeat(100_000 / part.len());
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(part, |b| b.iter(|| black_box(lexicon.read(&text))));
    }
    group.finish();
    c.bench_function("lexicon, made ready", |b| {
        b.iter(|| black_box(shiftbell::config::parcels::lexicon(LEXICON.as_ref())))
    });
}

criterion_group!(benches, reading);
criterion_main!(benches);
