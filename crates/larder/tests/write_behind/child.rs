//! The process that is killed: this test program itself.

use std::env;
use std::process::Command;

use larder_crash::child::asked;

use crate::replay;

/// Starts this program again as [`child`], which is not to run any other test.
pub(crate) fn program() -> Command {
    let mut program = Command::new(env::current_exe().unwrap());
    program.args(["--exact", "child::child", "--nocapture", "--test-threads=1"]);
    program
}

/// Does nothing when it is a test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(asked) = asked() else { return };
    match &*asked.verb {
        "fill" => {
            let count = asked.object.parse().unwrap();
            replay::fill(&asked.database, &asked.folder, count).await;
        }
        "replay" => replay::replay(&asked.database, &asked.folder).await,
        _ => asked.answer().await,
    }
}
