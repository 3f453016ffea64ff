//! `domstats fields`: the catalogue.

use std::io::{self, Write};

use domstats::stats::{Field, GROUPS, Group, KeyKind, Row, Schema};

use crate::{
    args::FieldsArgs,
    columns,
    exit::{Exit, Failure, Result},
};

/// Prints the key, type, unit, group and meaning of every statistic that matches a word.
pub(crate) fn run(args: &FieldsArgs) -> Result {
    let mut rows = vec![["KEY", "TYPE", "UNIT", "GROUP", "MEANING"].map(str::to_owned)];
    for group in GROUPS {
        visit(group.schema, group.flat, &mut |key, field| {
            if is_selected(&args.words, group, key) {
                rows.push(row(group, key, field));
            }
        });
    }
    if rows.len() == 1 {
        let words = args.words.join("' or '");
        return Err(Failure::new(format!(
            "no group or key matches '{words}': `domstats fields` lists all"
        ))
        .into());
    }
    let mut out = io::stdout().lock();
    out.write_all(columns::align(&rows).as_bytes())?;
    out.flush()?;
    Ok(Exit::Ok)
}

/// Calls `each` with the flat key and the description of every field below a schema.
fn visit(schema: &Schema, prefix: &str, each: &mut dyn FnMut(&str, &'static Field)) {
    for row in schema.rows {
        match row {
            Row::Field(field) => each(&join(prefix, field.path), field),
            Row::Part(part) => visit(part.schema, &join(prefix, part.path), each),
            Row::List(list) => {
                let item = match list.key {
                    KeyKind::Index | KeyKind::Id => "<n>",
                    KeyKind::Name => "<name>",
                };
                visit(list.schema, &join(&join(prefix, list.path), item), each);
            }
            _ => {}
        }
    }
}

fn join(prefix: &str, path: &str) -> String {
    match path {
        "" => prefix.to_owned(),
        path => format!("{prefix}.{path}"),
    }
}

fn is_selected(words: &[String], group: &Group, key: &str) -> bool {
    let selects = |word: &String| match Group::by_name(word) {
        Some(named) => named.bit == group.bit,
        // Matches at the start of a word: `rd.bytes` does not match `discard.bytes`.
        None => key
            .match_indices(word.as_str())
            .any(|(at, _)| !key[..at].ends_with(char::is_alphanumeric)),
    };
    words.is_empty() || words.iter().any(selects)
}

fn row(group: &Group, key: &str, field: &Field) -> [String; 5] {
    let value_type = format!("{:?}", field.value_type).to_lowercase();
    let unit = match field.unit.symbol() {
        "" => "-",
        symbol => symbol,
    };
    [key, &value_type, unit, group.name, field.help()].map(str::to_owned)
}
