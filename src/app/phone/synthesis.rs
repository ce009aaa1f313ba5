//! Texts become sounds by a command of the operator's: the text comes on its standard input, so
//! that it is only ever read aloud.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::domain::call::Voice;

/// How long one line may take to become a sound.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who speaks where the exchange has no voice of its own.
#[derive(Debug, Clone)]
pub struct Synthesis {
    /// Run by `sh -c`, with `TIDINGS_VOICE`, `TIDINGS_SPEED` (percent) and `TIDINGS_FILE`.
    pub command: String,
    /// Where the sounds lie; the exchange reads them there.
    pub dir: PathBuf,
}

impl Synthesis {
    /// Speaks one line into a file of this name.
    ///
    /// # Errors
    /// What the command said, or that it took too long.
    pub async fn speak(
        &self,
        name: &str,
        text: &str,
        voice: &Voice,
        slow: bool,
    ) -> Result<PathBuf, String> {
        tokio::fs::create_dir_all(&self.dir)
            .await
            .map_err(|error| format!("{}: {error}", self.dir.display()))?;
        let dir = std::path::absolute(&self.dir).map_err(|error| error.to_string())?;
        let file = dir.join(format!("{name}.wav"));
        let mut child = Command::new("sh")
            .args(["-c", &self.command])
            .env("TIDINGS_VOICE", voice.voice.as_ref().unwrap_or(&voice.language))
            .env("TIDINGS_SPEED", if slow { "80" } else { "100" })
            .env("TIDINGS_FILE", &file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("sh: {error}"))?;
        let mut input = child.stdin.take().ok_or("no standard input")?;
        // A command that reads nothing shows by its end.
        let _ = input.write_all(text.as_bytes()).await;
        drop(input);
        let done = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let done = done.map_err(|_| format!("speak took longer than {} s", PATIENCE.as_secs()))?;
        let done = done.map_err(|error| error.to_string())?;
        if !done.status.success() {
            return Err(format!("speak: {}", String::from_utf8_lossy(&done.stderr).trim()));
        }
        Ok(file)
    }

    /// Takes away what was spoken for a channel.
    pub async fn forget(&self, channel: &str) {
        let Ok(mut sounds) = tokio::fs::read_dir(&self.dir).await else { return };
        while let Ok(Some(sound)) = sounds.next_entry().await {
            let name = sound.file_name();
            let of = name.to_string_lossy();
            if of.strip_prefix(channel).is_some_and(|rest| rest.starts_with('-')) {
                let _ = tokio::fs::remove_file(sound.path()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice() -> Voice {
        Voice { language: "en-GB".into(), voice: None }
    }

    #[tokio::test]
    async fn a_text_is_read_and_never_run() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let command = "{ echo \"$TIDINGS_VOICE $TIDINGS_SPEED\"; cat; } > \"$TIDINGS_FILE\"".into();
        let synthesis = Synthesis { command, dir: folder.path().join("sounds") };
        let text = "$(touch oops); `id` \"</Say>\"";
        let file = synthesis.speak("x.1-1", text, &voice(), true).await.expect("spoken");
        assert!(file.is_absolute());
        assert_eq!(std::fs::read_to_string(file).expect("a file"), format!("en-GB 80\n{text}"));
    }

    #[tokio::test]
    async fn what_the_command_complains_of_is_said() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let command = "echo no such voice >&2; exit 3".into();
        let synthesis = Synthesis { command, dir: folder.path().to_owned() };
        let why = synthesis.speak("x", "text", &voice(), false).await.expect_err("refused");
        assert_eq!(why, "speak: no such voice");
    }
}
