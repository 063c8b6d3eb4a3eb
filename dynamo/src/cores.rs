//! The nodes of a process that has several: their ports and their stores.

use std::net::SocketAddr;
use std::path::Path;

use dynamo_storage::directory;

use crate::error::Error;
use crate::settings::{Place, Settings};

/// Most nodes of a process.
pub(crate) const MOST: u16 = 256;

/// Where that node listens for others, or is reached: the first one's port and the next ones. A free port
/// stays so.
pub(crate) fn address(first: SocketAddr, core: u16) -> Result<SocketAddr, Error> {
    let mut address = first;
    if first.port() != 0 {
        let port = first.port().checked_add(core);
        address.set_port(port.ok_or(Error::Ports(core + 1, first.port()))?);
    }
    Ok(address)
}

impl Place {
    /// Where that node keeps its part: the first one where a node alone would, the others below.
    pub(crate) fn of_core(&self, core: u16) -> Self {
        let below = |path: &Path| match core {
            0 => path.to_owned(),
            core => path.join(format!("core-{core}")),
        };
        match self {
            Self::Memory => Self::Memory,
            Self::Mysql(url) => Self::Mysql(url.clone()),
            Self::Fjall(path) => Self::Fjall(below(path)),
            Self::Redb(path) => Self::Redb(below(path)),
        }
    }

    /// How many nodes have a store there.
    fn nodes(&self) -> Result<u16, Error> {
        let is_store = |core: u16| match self.of_core(core) {
            Self::Memory | Self::Mysql(_) => Ok::<_, Error>(false),
            Self::Fjall(path) | Self::Redb(path) => {
                let seen = directory::look(&path).map_err(Error::opening)?;
                Ok(seen.is_some())
            }
        };
        for core in 0..MOST {
            if !is_store(core)? {
                return Ok(core);
            }
        }
        Ok(MOST)
    }
}

impl Settings {
    /// How many nodes this process serves: one for each core, and all that have a store here.
    pub(crate) fn nodes(&self) -> Result<u16, Error> {
        Ok(self.cores.max(self.storage.place.nodes()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_of_a_process_has_a_port_and_a_store_of_its_own() {
        let first = SocketAddr::from(([127, 0, 0, 1], 65_534));
        assert_eq!(address(first, 0).unwrap_or(first), first);
        assert_eq!(address(first, 1).map(|it| it.port()).ok(), Some(65_535));
        assert!(address(first, 2).is_err());
        let place = Place::Redb("data".into());
        assert_eq!(place.of_core(0), place);
        assert_eq!(place.of_core(2), Place::Redb("data/core-2".into()));
    }
}
