//! The paper's figure 5 in shape: the latency of writes at its 99.9th percentile, with and without a
//! write buffer, on the same engine.
//!
//! Two stores are written to in turns, so that what else the machine does falls on both. Writes come
//! at a steady rate, whether or not those before them are done; how long one takes counts from when
//! it came.

#![cfg_attr(not(target_os = "linux"), allow(unused))]

#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod plot;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the engines of this crate are for Linux");
}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::{Path, PathBuf};
    use std::time::Duration;
    use std::{fs, io};

    use clap::Parser;
    use dynamo_faults::{Scratch, Store, named};
    use dynamo_proto::{ClusterId, NodeId};
    use dynamo_storage::directory::{Opening, Owner};
    use dynamo_storage_buffered::{Bounds, Buffered};
    use dynamo_storage_fjall::Fjall;

    use crate::measure::{Load, machine};
    use crate::plot::{Plot, Series};

    #[derive(Parser)]
    struct Options {
        /// The engine below.
        #[arg(long, default_value = "fjall")]
        engine: String,
        /// Where the plot goes.
        #[arg(long, default_value = "docs/figure5.svg")]
        out: PathBuf,
        /// How many points each line has.
        #[arg(long, default_value_t = 12)]
        points: usize,
        /// How long is measured for each.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// Writes in a second.
        #[arg(long, default_value_t = 100)]
        rate: u32,
        /// How many may be under way.
        #[arg(long, default_value_t = 16)]
        writers: u32,
        /// Bytes in an object.
        #[arg(long, default_value_t = 1024)]
        object_bytes: usize,
        /// Objects in the buffer.
        #[arg(long, default_value_t = 1000)]
        buffer: usize,
    }

    pub(super) fn main() -> io::Result<()> {
        let options = Options::parse();
        let mut scratch = Scratch::new()?;
        let plain = open(&options.engine, &scratch.directory()?)?;
        let bounds = Bounds {
            objects: options.buffer,
            ..Bounds::default()
        };
        let buffered = Buffered::over(open(&options.engine, &scratch.directory()?)?, bounds)?;
        let load = Load {
            time: Duration::from_secs(options.seconds),
            rate: options.rate,
            writers: options.writers,
            object_bytes: options.object_bytes,
        };

        let mut lines = [Vec::new(), Vec::new()];
        for point in 0..options.points {
            let (with, without) = (load.on_memory(&buffered), load.on_disk(&plain));
            println!(
                "{point:3}: p99.9 with a buffer {:9.3} ms, without {:9.3} ms",
                with.as_secs_f64() * 1e3,
                without.as_secs_f64() * 1e3
            );
            lines[0].push(with);
            lines[1].push(without);
        }
        let [with, without] = lines;
        let plot = Plot {
            title: format!(
                "Latency of writes at the 99.9th percentile, with and without a write buffer of {} \
                 objects",
                options.buffer
            ),
            x: format!("intervals of {} s", options.seconds),
            series: [
                Series {
                    name: "each write flushed".into(),
                    points: without,
                },
                Series {
                    name: "buffered in memory".into(),
                    points: with,
                },
            ],
            notes: vec![
                format!(
                    "Engine: {}. {} writes of {} B in a second, by up to {} at a time; latency from \
                     when a write is due.",
                    options.engine, options.rate, options.object_bytes, options.writers
                ),
                machine(scratch.path())?,
            ],
        };
        fs::write(&options.out, plot.to_svg())
    }

    /// As it comes; those of the crash tests keep next to nothing in memory.
    fn open(engine: &str, path: &Path) -> io::Result<Store> {
        if engine == "fjall" {
            let owner = Owner {
                cluster: ClusterId(7),
                node: NodeId(1),
            };
            let fjall = Fjall::open(path, owner, Opening::InPlace, Default::default());
            return Ok(Box::new(fjall.map_err(io::Error::other)?));
        }
        let engine = named(engine).ok_or_else(|| io::Error::other("there is no such engine"))?;
        (engine.open)(path)
    }
}
