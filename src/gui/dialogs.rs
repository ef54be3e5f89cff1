//! The system's file dialogs, which answer later and never hold the window up.
//!
//! Every place with a dialog also takes a typed path, so that nothing depends on the desktop having dialogs. Tests
//! answer them beforehand with [`Dialogs::answer_next`].

use crate::jobs::Wake;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// One folder.
    Folder,
    /// Folder or `config.yaml` of a project.
    Project,
    /// Videos, any number.
    Videos,
    /// A file with weights or a recipe.
    File,
}

/// Opens dialogs and gathers their answers.
pub struct Dialogs {
    wake: Wake,
    open: Option<(String, Receiver<Vec<PathBuf>>)>,
    answers: VecDeque<Vec<PathBuf>>,
}

impl Dialogs {
    /// None is open.
    #[must_use]
    pub fn new(wake: Wake) -> Self {
        Self { wake, open: None, answers: VecDeque::new() }
    }

    /// Opens a dialog; whoever asked takes the answer with the same `who`. While one is open another is not opened.
    pub fn ask(&mut self, who: &str, what: Ask, title: &str) {
        if let Some((_, answer)) = &self.open {
            // An answer that nobody came for (its screen is gone) must not block the next dialog.
            if matches!(answer.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
                return;
            }
        }
        let (give, take) = sync_channel(1);
        self.open = Some((who.to_owned(), take));
        if let Some(answer) = self.answers.pop_front() {
            let _ = give.send(answer);
            return;
        }
        let dialog = rfd::AsyncFileDialog::new().set_title(title);
        let wake = std::sync::Arc::clone(&self.wake);
        // Made here, as macOS wants it, and waited for elsewhere.
        let answer: std::pin::Pin<Box<dyn Future<Output = Vec<PathBuf>> + Send>> = match what {
            Ask::Folder | Ask::Project => one(dialog.pick_folder()),
            Ask::File => one(dialog.pick_file()),
            Ask::Videos => {
                let files = dialog.add_filter("Videos", &crate::project::VIDEO_EXTENSIONS).pick_files();
                Box::pin(async move {
                    files.await.unwrap_or_default().iter().map(|f| f.path().to_path_buf()).collect()
                })
            }
        };
        std::thread::spawn(move || {
            let _ = give.send(pollster::block_on(answer));
            wake();
        });
    }

    /// The answer to what `who` asked, once; empty when the dialog was cancelled.
    pub fn take(&mut self, who: &str) -> Option<Vec<PathBuf>> {
        let (asked, receiver) = self.open.as_ref()?;
        if asked != who {
            return None;
        }
        match receiver.try_recv() {
            Ok(paths) => {
                self.open = None;
                Some(paths)
            }
            Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                self.open = None;
                Some(Vec::new())
            }
            Err(std::sync::mpsc::TryRecvError::Empty) => None,
        }
    }

    /// Answers the next dialog without showing it, for tests.
    pub fn answer_next(&mut self, paths: Vec<PathBuf>) {
        self.answers.push_back(paths);
    }
}

fn one(
    answer: impl Future<Output = Option<rfd::FileHandle>> + Send + 'static,
) -> std::pin::Pin<Box<dyn Future<Output = Vec<PathBuf>> + Send>> {
    Box::pin(async move { answer.await.iter().map(|f| f.path().to_path_buf()).collect() })
}
