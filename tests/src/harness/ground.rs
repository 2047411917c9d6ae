//! Where a test stands: the checkout, the built programs, the services that `tests/run.sh` started,
//! and free ports.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The services shared by all tests of a run, and the folder of the run.
#[derive(Debug, Clone)]
pub struct Ground {
    /// PostgreSQL as a role that may create databases.
    pub database_url: String,
    /// RabbitMQ, any virtual host.
    pub amqp_url: String,
    /// Its management API, with a user that may create virtual hosts.
    pub rabbit_api: String,
    /// Logs, process ids and private services of this run.
    pub folder: PathBuf,
}

impl Ground {
    /// Reads the environment that `tests/run.sh` prepares.
    ///
    /// # Panics
    /// When it is not prepared; a test cannot do anything without it.
    pub fn of_this_run() -> Self {
        Self {
            database_url: needed("LUNAS_TEST_DATABASE_URL"),
            amqp_url: needed("LUNAS_TEST_AMQP_URL"),
            rabbit_api: needed("LUNAS_TEST_RABBIT_API"),
            folder: run_folder(),
        }
    }
}

fn needed(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run the tests with ./tests/run.sh"))
}

/// The folder of this run; without `tests/run.sh` a lasting one below `target`.
pub fn run_folder() -> PathBuf {
    let folder = std::env::var_os("LUNAS_TEST_FOLDER")
        .map_or_else(|| root().join("target/test/loose"), PathBuf::from);
    std::fs::create_dir_all(&folder).expect("the folder of the run can be made");
    folder
}

/// The top of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in a folder of the checkout")
}

/// A program of the fleet, from the folder that this test was built into.
///
/// # Panics
/// When it was not built.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own file");
    let found = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not built: run ./tests/run.sh or cargo build --workspace --bins")
    })
}

/// Notes a process in the list that `tests/run.sh` goes through at its end, for the case that
/// this test is killed before it can stop the process itself.
pub(super) fn note_process(pid: u32) {
    let list = run_folder().join("pids");
    let opened = OpenOptions::new().create(true).append(true).open(list);
    let noted = opened.and_then(|mut file| file.write_all(format!("{pid}\n").as_bytes()));
    noted.expect("the list of processes can be written");
}

/// A port of the loopback that is free, and stays reserved as long as this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// The lock on this file is the reservation; the scripts take the same locks.
    _reservation: File,
}

impl Port {
    /// Takes a port below the ephemeral range, so that no outgoing connection can sit on it.
    ///
    /// # Panics
    /// When there is none.
    pub fn take() -> Self {
        let folder = reservations();
        for _ in 0..500 {
            let number: u16 = rand::random_range(20_000..32_000);
            let file = File::create(folder.join(number.to_string()));
            let file = file.expect("a port's lock file can be made");
            if file.try_lock().is_ok() && TcpListener::bind(loopback(number)).is_ok() {
                return Self {
                    number,
                    _reservation: file,
                };
            }
        }
        panic!("no free port on the loopback");
    }

    /// The address.
    pub fn addr(&self) -> SocketAddr {
        loopback(self.number)
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn reservations() -> PathBuf {
    let user = std::fs::metadata("/proc/self").map_or(0, |process| process.uid());
    let folder = std::env::temp_dir().join(format!("lunas-ports-{user}"));
    std::fs::create_dir_all(&folder).expect("the folder of the ports can be made");
    folder
}

/// A short word that no other test uses, for names of databases and virtual hosts.
pub fn unique_word() -> String {
    format!("{}_{:08x}", std::process::id(), rand::random::<u32>())
}
