//! A visitor is called for everything in a report, with its type, unit and word.

use std::{fs, path::Path};

use domstats::{Connect, DomainInfo, StatsReport, StatsRequest, Value};
use domstats_live::{
    c_library::{compile, with_library},
    lab::lab,
};

/// Values of types that the simulated domains lack, unknown words, and a domain of an untrusted user
/// without a UUID.
const SAVED: &str =
    "<domainstats><domain name='saved' uid='1000' untrusted='true' conflict='name uuid'>
    <state>9</state>
    <cpus><cpu id='0'><halted>true</halted></cpu></cpus>
    <gpu><name>a b</name><speed>-5</speed></gpu>
</domain></domainstats>";

fn expected(report: &StatsReport) -> Vec<String> {
    let who = |domain: &DomainInfo| {
        let uuid = domain.uuid.map_or_else(|| "none".to_owned(), |uuid| uuid.to_string());
        let id = domain.id.map_or(-1, i64::from);
        let uid = domain.uid.map_or(-1, i64::from);
        let untrusted = if domain.untrusted { " untrusted" } else { "" };
        let conflict: String = domain.conflict.words().map(|word| format!(" {word}")).collect();
        format!("{} {uuid} {id} {uid}{untrusted}{conflict}", domain.name)
    };
    let mut lines = Vec::new();
    for record in &report.domains {
        let who = who(&record.domain);
        record.visit_params(|key, field, value| {
            let mut known = "";
            let value = match value {
                Value::Int(number) => format!("int {number}"),
                Value::UInt(number) => format!("uint {number}"),
                Value::LLong(number) => format!("llong {number}"),
                Value::ULLong(number) => format!("ullong {number}"),
                Value::Double(number) => format!("double {number:.6}"),
                Value::Boolean(truth) => format!("boolean {}", i32::from(*truth)),
                Value::String(text) => format!("string {text}"),
                Value::Word { code, word } => {
                    known = word.unwrap_or_default();
                    format!("int {code}")
                }
                other => panic!("{key}: {other:?}"),
            };
            let unit = field.map_or("", |field| field.unit.symbol());
            lines.push(format!("{who} {key} {value} [{unit}] [{known}]"));
        });
        for group in &record.missing {
            let (name, missing) = (&group.group, &group.missing);
            lines.push(format!("{who} {name} missing {} [] [{}]", missing.text, missing.reason));
        }
    }
    for domain in &report.missing {
        let (who, missing) = (who(&domain.domain), &domain.missing);
        lines.push(format!("{who}  missing {} [] [{}]", missing.text, missing.reason));
    }
    lines
}

#[test]
fn a_visitor_is_called_for_everything() {
    let saved = lab().path("saved.xml");
    fs::write(&saved, SAVED).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/visit_all.c");
    let program = compile("gcc", &source, &[]);
    let mut all = String::new();
    for uri in [
        "test:///default?clock=fixed&domains=6&deny=vm2&vanish=vm4",
        &format!("test://{}", saved.display()),
    ] {
        let report = Connect::open(uri).unwrap().all_domain_stats(&StatsRequest::new()).unwrap();
        let told = lab().run(with_library(&program).arg(uri));
        assert_eq!(told.lines().collect::<Vec<_>>(), expected(&report), "{uri}");
        // NULL selects the URI of the environment.
        assert_eq!(lab().run(with_library(&program).env("DOMSTATS_DEFAULT_URI", uri)), told);
        all.push_str(&told);
    }
    for some in [
        "int",
        "uint",
        "ullong",
        "double",
        "boolean",
        "string",
        "missing",
        "log2 string",
        "[running]",
        "saved none -1 1000 untrusted name uuid state.state int 9 [] []",
        "[denied]",
        "[gone]",
        "[KiB]",
    ] {
        assert!(all.contains(some), "{some}: {all}");
    }
}
