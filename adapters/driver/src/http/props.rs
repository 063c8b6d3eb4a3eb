//! Buckets' properties, in JSON.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::riak::messages::{Function, Hook, Props};
use crate::riak::quorum::Quorum;

/// What is shown of a bucket, or of a bucket type.
pub(super) fn json(name: Option<&[u8]>, props: &Props) -> Value {
    let mut json = Map::new();
    let mut say = |name: &str, value: Value| {
        if !value.is_null() {
            json.insert(name.to_owned(), value);
        }
    };
    let text = |bytes: &[u8]| Value::String(String::from_utf8_lossy(bytes).into_owned());
    let function = |it: &Option<Function>| match it {
        Some(it) => json!({ "mod": text(&it.module), "fun": text(&it.function) }),
        None => Value::Null,
    };
    say("name", name.map_or(Value::Null, text));
    say("allow_mult", props.allow_mult.into());
    say("basic_quorum", props.basic_quorum.into());
    say("big_vclock", props.big_vclock.into());
    say("chash_keyfun", function(&props.chash_keyfun));
    let datatype = props.datatype.as_deref();
    say("datatype", datatype.map_or(Value::Null, text));
    say("dvv_enabled", true.into());
    say("dw", quorum(props.dw));
    say("hll_precision", props.hll_precision.into());
    say("last_write_wins", props.last_write_wins.into());
    say("linkfun", function(&props.linkfun));
    say("n_val", props.n_val.into());
    say("notfound_ok", props.notfound_ok.into());
    say("old_vclock", props.old_vclock.into());
    say("postcommit", json!([]));
    say("pr", quorum(props.pr));
    say("precommit", json!([]));
    say("pw", quorum(props.pw));
    say("r", quorum(props.r));
    say("rw", quorum(props.rw));
    say("small_vclock", props.small_vclock.into());
    say("w", quorum(props.w));
    say("young_vclock", props.young_vclock.into());
    Value::Object(json)
}

fn quorum(code: Option<u32>) -> Value {
    let quorum = code.map(Quorum::of_code);
    match quorum {
        None => Value::Null,
        Some(Quorum::Number(number)) => number.into(),
        Some(word) => word.word().into(),
    }
}

/// What a client sets: `{"props":{...}}`.
pub(super) fn parse(body: &[u8]) -> Result<Props, Refusal> {
    let json: Value = serde_json::from_slice(body).map_err(|_| Refusal::NoProps)?;
    let given = json.get("props").and_then(Value::as_object);
    let given = given.ok_or(Refusal::NoProps)?;
    let mut props = Props::default();
    for (name, value) in given {
        set(&mut props, name, value)
            .map_err(|why| Refusal::Props(json!({ name.as_str(): why }).to_string()))?;
    }
    Ok(props)
}

fn set(props: &mut Props, name: &str, value: &Value) -> Result<(), &'static str> {
    let field = match name {
        "n_val" => &mut props.n_val,
        "old_vclock" => &mut props.old_vclock,
        "young_vclock" => &mut props.young_vclock,
        "big_vclock" => &mut props.big_vclock,
        "small_vclock" => &mut props.small_vclock,
        "hll_precision" => &mut props.hll_precision,
        _ => return set_quorum(props, name, value),
    };
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    *field = Some(number.ok_or("not_integer")?);
    Ok(())
}

fn set_quorum(props: &mut Props, name: &str, value: &Value) -> Result<(), &'static str> {
    let field = match name {
        "r" => &mut props.r,
        "w" => &mut props.w,
        "dw" => &mut props.dw,
        "pr" => &mut props.pr,
        "pw" => &mut props.pw,
        "rw" => &mut props.rw,
        _ => return set_flag(props, name, value),
    };
    let quorum = match value {
        Value::String(word) => Quorum::parse(word),
        value => {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.map(Quorum::Number)
        }
    };
    *field = Some(quorum.ok_or("not_valid_quorum")?.code());
    Ok(())
}

fn set_flag(props: &mut Props, name: &str, value: &Value) -> Result<(), &'static str> {
    let field = match name {
        "allow_mult" => &mut props.allow_mult,
        "last_write_wins" => &mut props.last_write_wins,
        "basic_quorum" => &mut props.basic_quorum,
        "notfound_ok" => &mut props.notfound_ok,
        "search" => &mut props.search,
        "consistent" => &mut props.consistent,
        "write_once" => &mut props.write_once,
        _ => return set_other(props, name, value),
    };
    *field = Some(match value {
        Value::Bool(flag) => *flag,
        Value::String(text) if text == "true" => true,
        Value::String(text) if text == "false" => false,
        _ => return Err("not_boolean"),
    });
    Ok(())
}

fn set_other(props: &mut Props, name: &str, value: &Value) -> Result<(), &'static str> {
    let text = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str);
        text.map(|text| Bytes::copy_from_slice(text.as_bytes()))
    };
    match name {
        "precommit" | "postcommit" => {
            let hooks = value.as_array().ok_or("not_list")?;
            let hooks = vec![Hook::default(); hooks.len()];
            match name {
                "precommit" => props.precommit = hooks,
                _ => props.postcommit = hooks,
            }
        }
        "chash_keyfun" | "linkfun" => {
            let (module, function) = (text(value.get("mod")), text(value.get("fun")));
            let function = Function {
                module: module.ok_or("not_function")?,
                function: function.ok_or("not_function")?,
            };
            match name {
                "linkfun" => props.linkfun = Some(function),
                _ => props.chash_keyfun = Some(function),
            }
        }
        "backend" => props.backend = Some(text(Some(value)).ok_or("not_text")?),
        "datatype" => props.datatype = Some(text(Some(value)).ok_or("not_text")?),
        "search_index" => props.search_index = Some(text(Some(value)).ok_or("not_text")?),
        // What is shown comes back from who changes something else.
        "name" => {}
        "dvv_enabled" if value == &Value::Bool(true) => {}
        _ => return Err("not_supported"),
    }
    Ok(())
}
