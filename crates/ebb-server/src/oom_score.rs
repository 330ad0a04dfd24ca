//! `oom-score-adj`: how soon the kernel kills this process when the machine runs out of memory
//! (`proc_pid_oom_score_adj(5)`).

use ebb_config::{Config, OomScoreAdj, id};
use parking_lot::Mutex;

const FILE: &str = "/proc/self/oom_score_adj";

/// The score that the process was started with, known once Ebb has changed it.
static BEFORE: Mutex<Option<i32>> = Mutex::new(None);

/// Writes the score that the configuration asks for, or the one before if it asks for none.
pub(crate) fn apply(config: &Config) -> Result<(), String> {
    let failed = |error: std::io::Error| {
        tracing::warn!("Unable to write {FILE}: {error}");
        "Failed to apply new oom_score_adj configuration, check server logs.".to_owned()
    };
    let mut before = BEFORE.lock();
    let policy = config.get(id::OOM_SCORE_ADJ);
    if policy == OomScoreAdj::No {
        if let Some(score) = before.take() {
            std::fs::write(FILE, score.to_string()).map_err(failed)?;
        }
        return Ok(());
    }
    let base = match *before {
        Some(score) => score,
        None => {
            let text = std::fs::read_to_string(FILE).map_err(failed)?;
            text.trim().parse().unwrap_or(0)
        }
    };
    let values = config.get(id::OOM_SCORE_ADJ_VALUES);
    // The first value is that of a master.
    let value: i32 = values.split(' ').next().and_then(|value| value.parse().ok()).unwrap_or(0);
    let score = if policy == OomScoreAdj::Absolute { value } else { base + value };
    std::fs::write(FILE, score.clamp(-1000, 1000).to_string()).map_err(failed)?;
    *before = Some(base);
    Ok(())
}
