use dynamo_proto::version::{DataType, Policy};
use dynamo_proto::{Durability, Key};

use super::*;

fn parse(text: &str) -> Result<Settings, String> {
    let options: Options = toml::from_str(text).map_err(|error| error.to_string())?;
    options.settle().map_err(|error| error.to_string())
}

#[test]
fn every_key_is_explained() {
    let page = include_str!("../../../docs/configuration.md");
    let program = Cli::command();
    let serve = program.find_subcommand("serve").expect("it serves");
    for argument in serve.get_arguments() {
        let Some(name) = argument.get_long().filter(|name| *name != "help") else {
            continue;
        };
        assert!(
            page.contains(&format!("`{name}`")),
            "{name} is not explained"
        );
        let is_key = argument.get_env().is_some();
        let variable = format!("{PREFIX}{}", name.to_uppercase().replace('-', "_"));
        assert_eq!(is_key, known_variables().contains(&variable), "{name}");
    }
}

#[test]
fn what_nobody_knows_is_an_error() {
    let base = "storage = 'memory'\n";
    assert!(parse(base).is_ok());
    for (more, complaint) in [
        ("lisen = '127.0.0.1:1'", "unknown field `lisen`"),
        ("[limits]\nvalue_byte = 1", "unknown field `value_byte`"),
        ("listen = '0.0.0.0:7400'", "--insecure-listen"),
        ("resp = '10.1.2.3:6379'", "--insecure-listen"),
        ("data = 'somewhere'", "leave out --data"),
        ("flush = 'never'", "leave it out"),
        (
            "reserve = 1",
            "--storage memory has nothing to do with --reserve",
        ),
        ("seed = ['nowhere']", "nowhere cannot be resolved"),
        ("n = 3", "--n is chosen once"),
        ("auto-admit = true", "--auto-admit is chosen once"),
        (
            "bootstrap = true\nseed = ['127.0.0.1:7400']",
            "leave out one of them",
        ),
        ("bootstrap = true\nn = 2\nw = 3", "n = 2 replicas"),
        (
            "listen = '0.0.0.0:7400'\ninsecure-listen = true",
            "--advertise",
        ),
        ("bootstrap = true\ncores = 0", "from 1 to 256"),
        (
            "bootstrap = true\nconflicts = 'last'",
            "or a data type: grow-counter, counter,",
        ),
    ] {
        let error = parse(&format!("{base}{more}")).expect_err(more);
        assert!(error.contains(complaint), "{error}");
    }
    assert!(
        parse("bootstrap = true")
            .expect_err("no data")
            .contains("--data DIR")
    );
}

#[test]
fn flags_come_before_the_file_and_nodes_of_a_cluster_agree_on_its_secret() {
    let flags: Options = toml::from_str("n = 1").expect("options");
    let file = toml::from_str("n = 3\nr = 1\nhost = 'h'\nseed = ['127.0.0.1:1']").expect("options");
    let both = flags.or(file);
    assert_eq!(
        (both.n, both.r, both.host, both.seed.len()),
        (Some(1), Some(1), Some("h".into()), 1)
    );

    let one = parse("bootstrap = true\ndata = '/d'").expect("settings");
    let two = parse("seed = ['127.0.0.1:1', '127.0.0.1:2']\ndata = '/d'").expect("settings");
    assert_eq!(one.config(NodeId(1)).secret, two.config(NodeId(2)).secret);
    assert!(two.birth.is_none() && two.seeds.len() == 2);
    assert_ne!(
        one.member(NodeId(1), NodeId(1)).host,
        two.member(NodeId(2), NodeId(2)).host
    );
    let birth = one.birth.expect("it begins a cluster");
    let bucket = &birth.buckets.default;
    assert_eq!((bucket.n, bucket.r, bucket.w), (3, 2, 2));
    assert_eq!(bucket.durability, Durability::Flushed);
    assert!(!birth.admits_newcomers);
}

#[test]
fn a_bucket_promises_what_its_store_can_keep() {
    for (storage, durability, one_flushed) in [
        ("storage = 'memory'", Durability::Memory, false),
        ("data = '/d'", Durability::Flushed, false),
        ("data = '/d'\nflush = '20'", Durability::Written, false),
        (
            "data = '/d'\nstorage = 'redb'\nflush = 'never'",
            Durability::Written,
            false,
        ),
        ("data = '/d'\nwrite-buffer = 100", Durability::Memory, true),
    ] {
        let settings = parse(&format!("bootstrap = true\n{storage}")).expect(storage);
        let bucket = &settings.birth.expect(storage).buckets.default;
        assert_eq!(bucket.durability, durability, "{storage}");
        assert_eq!(bucket.one_flushed, one_flushed, "{storage}");
    }
}

#[test]
fn what_is_kept_free_goes_with_the_engine_unless_it_is_said() {
    for (storage, reserve) in [
        ("data = '/d'", 1 << 30),
        ("data = '/d'\nstorage = 'redb'", 256 << 20),
        ("data = '/d'\nreserve = 7", 7),
    ] {
        let settings = parse(&format!("bootstrap = true\n{storage}")).expect(storage);
        assert_eq!(settings.storage.reserve, reserve, "{storage}");
    }
}

#[test]
fn there_is_a_bucket_type_of_each_data_type() {
    let settings = parse("bootstrap = true\nstorage = 'memory'\nconflicts = 'map'");
    let birth = settings.expect("settings").birth.expect("it begins");
    let buckets = &birth.buckets;
    assert_eq!(buckets.default.policy, Policy::Data(DataType::Map));
    assert_eq!(buckets.singles(), 0);
    for kind in DataType::ALL {
        assert_eq!(
            buckets.types[kind.name().as_bytes()].policy,
            Policy::Data(kind)
        );
    }
}

#[test]
fn in_the_bucket_of_plain_commands_the_last_write_wins_unless_something_else_is_said() {
    let settings = parse("bootstrap = true\nstorage = 'memory'").expect("settings");
    let buckets = settings.birth.expect("it begins").buckets;
    let key = |bucket| Key::new("default", bucket, "k", &Limits::default()).expect("a key");
    let plain = buckets.of(&key("default"));
    assert!(matches!(plain.policy, Policy::LastWriteWins { .. }));
    assert_eq!(buckets.of(&key("carts")).policy, Policy::Siblings);
}
