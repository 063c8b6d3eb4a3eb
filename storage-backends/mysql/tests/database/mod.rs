//! Databases to test in.

use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dynamo_storage::directory::Opening;
use dynamo_storage_mysql::{Mysql, Options};
use mysql::prelude::Queryable as _;
use mysql::{Conn, Opts, OptsBuilder};

use crate::stage::{self, Reports};

/// A database of its own on a server, removed when it is dropped.
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) name: String,
    server: String,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Database {
    pub(crate) fn new(server: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dynamo_{}_{number}", process::id());
        let database = Self {
            url: with_database(server, &name),
            server: server.to_owned(),
            name,
        };
        database.administer("CREATE DATABASE");
        database
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            patience: Duration::from_secs(10),
            ..Options::new(&self.url)
        }
    }

    pub(crate) fn open(&self) -> (Mysql, Reports) {
        stage::open(self.options(), Opening::InPlace).unwrap()
    }

    /// Says something to the database behind the store's back.
    pub(crate) fn query(&self, sql: &str) {
        connect(&self.url).query_drop(sql).unwrap();
    }

    fn administer(&self, what: &str) {
        let mut server = connect(&self.server);
        server
            .query_drop(format!("{what} `{}`", self.name))
            .unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.administer("DROP DATABASE IF EXISTS");
    }
}

fn connect(url: &str) -> Conn {
    let opts = OptsBuilder::from_opts(Opts::from_url(url).unwrap()).prefer_socket(false);
    Conn::new(opts).unwrap()
}

fn with_database(url: &str, name: &str) -> String {
    let slash = url.rfind('/').unwrap();
    format!("{}/{name}", &url[..slash])
}
