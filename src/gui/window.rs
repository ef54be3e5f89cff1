//! The frame around all views.

use super::desk::{Contents, Desk, OpenProject, Place};
use super::dialogs::{Ask, Dialogs};
use super::keys::{Action, Fired, Scope};
use super::leaving::Leaving;
use super::notices::{Notices, Severity};
use super::palette::{Help, Palette};
use super::prefs::Prefs;
use super::status;
use super::theme::{Theme, Wish};
use super::top_bar::{go_action, top_bar};
use super::views::{NewProjectView, StartView, Views};
use crate::jobs::{Handle, Jobs, Wake};
use crate::watch;
use cpu_time::ThreadTime;
use eframe::egui::{self, Panel};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a window begins.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// A project to open.
    pub project: Option<PathBuf>,
    /// Where it begins in that project.
    pub place: Option<Place>,
    /// Preferences, as read.
    pub prefs: Prefs,
    /// What reading them had to say.
    pub told: Vec<String>,
    /// Where preferences are written; `None` to keep them in memory only.
    pub prefs_path: Option<PathBuf>,
}

/// What is in front.
enum Screen {
    /// No project is open.
    Start,
    /// The assistant for a new project.
    New,
    /// A project.
    Project,
}

/// The whole window.
pub struct Window {
    wake: Wake,
    jobs: Jobs,
    notices: Notices,
    dialogs: Dialogs,
    prefs: Prefs,
    written: Prefs,
    prefs_path: Option<PathBuf>,
    writing: Option<Handle<()>>,
    screen: Screen,
    place: Place,
    open: Option<OpenProject>,
    opening: Option<Handle<Contents>>,
    device: Option<String>,
    asking_device: Option<Handle<String>>,
    start: StartView,
    new: NewProjectView,
    views: Views,
    palette: Palette,
    help: Help,
    leaving: Leaving,
    messages_shown: bool,
    passes: Passes,
}

/// Processor time of the window's passes, the newest last.
#[derive(Debug, Default)]
pub struct Passes {
    times: std::collections::VecDeque<Duration>,
}

impl Passes {
    const KEPT: usize = 4096;

    fn add(&mut self, time: Duration) {
        if self.times.len() == Self::KEPT {
            self.times.pop_front();
        }
        self.times.push_back(time);
    }

    /// The times of the last passes, oldest first.
    pub fn times(&self) -> impl Iterator<Item = Duration> {
        self.times.iter().copied()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.times.clear();
    }
}

impl Window {
    /// A window on `ctx`.
    #[must_use]
    pub fn new(ctx: &egui::Context, start: Start) -> Self {
        Theme::install(ctx, start.prefs.theme);
        ctx.set_zoom_factor(start.prefs.zoom);
        // Its own zoom keys would not be listed, changed or remembered.
        ctx.options_mut(|o| o.zoom_with_keyboard = false);
        let repaint = ctx.clone();
        let wake: Wake = Arc::new(move || repaint.request_repaint());
        let mut window = Self {
            jobs: Jobs::new(Arc::clone(&wake)),
            notices: Notices::default(),
            dialogs: Dialogs::new(Arc::clone(&wake)),
            written: start.prefs.clone(),
            prefs: start.prefs,
            prefs_path: start.prefs_path,
            writing: None,
            screen: Screen::Start,
            place: start.place.unwrap_or(Place::Project),
            open: None,
            opening: None,
            device: None,
            asking_device: None,
            start: StartView::default(),
            new: NewProjectView::default(),
            views: Views::default(),
            palette: Palette::default(),
            help: Help::default(),
            leaving: Leaving::default(),
            messages_shown: false,
            passes: Passes::default(),
            wake,
        };
        for text in start.told {
            window.notices.warn("Preferences", text);
        }
        window.ask_device();
        if let Some(path) = start.project {
            window.open_project(&path);
        }
        window
    }

    /// Opens a project by its folder or its `config.yaml`.
    pub fn open_project(&mut self, path: &Path) {
        let path = path.to_path_buf();
        let title = format!("Opening {}", path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
        self.opening = Some(self.jobs.start_quiet(title, move |watch| Contents::read(&path, watch)));
    }

    /// The messages told so far.
    #[must_use]
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    /// The open project.
    #[must_use]
    pub fn project(&self) -> Option<&OpenProject> {
        self.open.as_ref()
    }

    /// What runs and has run.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// The file dialogs, which tests answer beforehand.
    pub fn dialogs(&mut self) -> &mut Dialogs {
        &mut self.dialogs
    }

    /// The time each pass took.
    pub fn passes(&mut self) -> &mut Passes {
        &mut self.passes
    }

    /// The views, for benchmarks and pictures.
    pub fn views(&mut self) -> &mut Views {
        &mut self.views
    }

    /// Which view is in front.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        matches!(self.screen, Screen::Project).then_some(self.place)
    }

    /// Whether anything is under way that will change what is shown: a project opening, work, edits not yet saved.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.opening.is_some() || self.jobs.busy() || self.open.as_ref().is_some_and(OpenProject::is_changing)
    }

    /// One pass over the whole window.
    pub fn ui(&mut self, ui: &mut egui::Ui) {
        let began = ThreadTime::now();
        watch::without_waiting(|| self.pass(ui));
        self.passes.add(began.elapsed());
    }

    /// Writes what is unsaved and waits for it; when the window has been closed.
    pub fn finish(&mut self) {
        self.jobs.stop_all();
        // A training that was asked to stop writes its checkpoint first.
        let patience = Instant::now() + Duration::from_secs(60);
        while self.jobs.busy() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Err(e) = self.views.space.closing()(&watch::Quiet::default()) {
            tracing::error!("{e}");
        }
        if let Some(mut open) = self.open.take() {
            self.views.label.settle(&mut open.labels);
            if let Err(e) = open.labels.close() {
                tracing::error!("{e}");
            }
        }
        if let Some(path) = self.prefs_path.as_ref().filter(|_| self.prefs != self.written)
            && let Err(e) = self.prefs.write(path)
        {
            tracing::error!("{e}");
        }
    }

    fn pass(&mut self, ui: &mut egui::Ui) {
        self.poll(ui.ctx());
        let modal = ui.ctx().memory(|m| m.top_modal_layer().is_some());
        let scopes = self.scopes();
        let mut fired =
            if modal { Fired::default() } else { Fired::take(ui.ctx(), &self.prefs.keys, &scopes) };
        if let Some(action) = self.palette.chosen() {
            fired.add(action);
        }
        self.act(ui.ctx(), &fired);

        let project = self
            .open
            .as_ref()
            .filter(|_| matches!(self.screen, Screen::Project))
            .map(|open| (open.project().config.task.as_str(), open.project().root()));
        top_bar(ui, &mut fired, &mut self.prefs, &mut self.place, project);
        if fired.has(Action::Help) && !self.help.is_open() {
            self.help.open();
        }
        if fired.has(Action::Palette) && !self.palette.is_open() {
            self.palette.open();
        }
        Panel::bottom("status").exact_size(30.0).resizable(false).show(ui, |ui| {
            let open = self.open.as_ref();
            let wish = status::bar(
                ui,
                open,
                self.views.label.is_moving(),
                &self.jobs,
                self.device.as_deref(),
                self.notices.grave(),
            );
            match wish {
                Some(status::Wish::Jobs) => self.prefs.jobs_shown = !self.prefs.jobs_shown,
                Some(status::Wish::Messages) => self.messages_shown = !self.messages_shown,
                None => {}
            }
        });
        if self.prefs.jobs_shown && !self.jobs.list().is_empty() {
            Panel::bottom("jobs").resizable(true).default_size(130.0).min_size(60.0).show(ui, |ui| {
                status::jobs(ui, &mut self.jobs);
            });
        }
        if self.messages_shown {
            Panel::right("messages").resizable(true).default_size(360.0).show(ui, |ui| {
                ui.heading("Messages");
                egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.notices.list(ui));
            });
        }
        self.middle(ui, &fired);
        self.palette.ui(ui.ctx(), &self.prefs.keys, &scopes);
        self.help.ui(ui.ctx(), &mut self.prefs.keys);
        if self.open.as_mut().is_some_and(|open| super::views::conflict(ui.ctx(), open))
            && self.may_close_project()
        {
            self.close_project();
            self.screen = Screen::Start;
        }
        let (unsafe_edits, trouble) = self.unsafe_edits();
        self.leaving.ui(ui.ctx(), &self.jobs, unsafe_edits, trouble);
        self.notices.show(ui.ctx());
    }

    fn scopes(&self) -> Vec<Scope> {
        let mut scopes = vec![Scope::Window];
        if matches!(self.screen, Screen::Project) {
            scopes.push(Scope::Project);
            match self.place {
                Place::Videos => scopes.extend([Scope::Player, Scope::Videos]),
                Place::Label => scopes.push(Scope::Label),
                Place::Analyze => scopes.push(Scope::Player),
                Place::Space => scopes.extend([Scope::Player, Scope::Space]),
                Place::Project | Place::Train => {}
            }
        }
        scopes
    }

    /// Takes what threads have brought.
    fn poll(&mut self, ctx: &egui::Context) {
        if let Some(result) = self.opening.as_mut().and_then(Handle::poll) {
            self.opening = None;
            if let Ok(contents) = result
                && self.may_close_project()
            {
                self.prefs.remember(contents.project.root());
                self.close_project();
                self.views = Views::default();
                self.open = Some(OpenProject::new(contents, &self.wake));
                self.screen = Screen::Project;
            }
        }
        if let Some(open) = &mut self.open {
            open.poll(&mut self.jobs, &mut self.notices);
        }
        for (title, text) in self.jobs.take_failures() {
            self.notices.tell(Severity::Error, &title, text);
        }
        for (title, text) in self.jobs.take_warnings() {
            self.notices.tell(Severity::Warning, &title, text);
        }
        if let Some(Ok(words)) = self.asking_device.as_mut().and_then(Handle::poll) {
            self.device = Some(words);
        }
        if self.prefs != self.written {
            if self.prefs.device != self.written.device {
                self.ask_device();
            }
            self.written = self.prefs.clone();
            if let Some(path) = self.prefs_path.clone() {
                let prefs = self.prefs.clone();
                self.writing =
                    Some(self.jobs.start_quiet("Writing the preferences", move |_| prefs.write(&path)));
            }
        }
        if let Some(paths) = self.dialogs.take("window: open")
            && let Some(path) = paths.first()
        {
            self.open_project(path);
        }
        // A project dropped on the window opens; videos are for the views.
        let dropped: Vec<PathBuf> =
            ctx.input(|i| i.raw.dropped_files.iter().map(|f| f.path().to_path_buf()).collect());
        if let [one] = dropped.as_slice()
            && (one.extension().is_some_and(|e| e == "yaml") || matches!(self.screen, Screen::Start))
        {
            self.open_project(one);
        }
    }

    fn ask_device(&mut self) {
        let wish = self.prefs.device.clone();
        self.asking_device = Some(self.jobs.start_quiet("Looking for a GPU", move |_| {
            crate::net::device::choose(&wish).map(|(_, words)| words)
        }));
    }

    /// Does what concerns the window itself.
    fn act(&mut self, ctx: &egui::Context, fired: &Fired) {
        const STEP: f32 = 1.1;
        if fired.has(Action::Palette) {
            self.palette.open();
        }
        if fired.has(Action::Help) {
            self.help.open();
        }
        if fired.has(Action::NewProject) {
            self.screen = Screen::New;
        }
        if fired.has(Action::OpenProject) {
            self.dialogs.ask("window: open", Ask::Project, "Open a project folder");
        }
        if fired.has(Action::CloseProject) && self.may_close_project() {
            self.close_project();
            self.screen = Screen::Start;
        }
        if fired.has(Action::Theme) {
            let dark = ctx.theme() == egui::Theme::Dark;
            self.prefs.theme = if dark { Wish::Light } else { Wish::Dark };
            ctx.set_theme(self.prefs.theme);
        }
        if fired.has(Action::Jobs) {
            self.prefs.jobs_shown = !self.prefs.jobs_shown;
        }
        if fired.has(Action::Dismiss) {
            self.notices.dismiss();
        }
        if fired.has(Action::Messages) {
            self.messages_shown = !self.messages_shown;
        }
        let zoom = match () {
            () if fired.has(Action::ZoomIn) => self.prefs.zoom * STEP,
            () if fired.has(Action::ZoomOut) => self.prefs.zoom / STEP,
            () if fired.has(Action::ZoomReset) => 1.0,
            () => self.prefs.zoom,
        };
        let zoom = zoom.clamp(0.5, 3.0);
        if (zoom - self.prefs.zoom).abs() > f32::EPSILON {
            self.prefs.zoom = zoom;
            ctx.set_zoom_factor(zoom);
        }
        if fired.has(Action::Quit) {
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        }
        for place in Place::ALL {
            if fired.has(go_action(place)) {
                self.place = place;
            }
        }
        if fired.has(Action::OpenNewest) {
            self.place = Place::Analyze;
        }
        if let Some(open) = &mut self.open
            && fired.has(Action::Save)
        {
            open.labels.save();
        }
    }

    /// Edits that are in memory only, a nudge under way among them, and whether the disk takes no more.
    fn unsafe_edits(&self) -> (usize, bool) {
        self.open.as_ref().map_or((0, false), |open| {
            let safety = open.labels.safety();
            let trouble = safety.trouble.is_some() && safety.in_memory > 0;
            (safety.in_memory + usize::from(self.views.label.is_moving()), trouble)
        })
    }

    /// Whether the project may be closed now; tells why not.
    fn may_close_project(&mut self) -> bool {
        let (edits, trouble) = self.unsafe_edits();
        if trouble {
            self.notices.warn(
                "The project stays open",
                format!(
                    "{} in memory only, because the disk takes no more. Make room on it: limn tries again every two \
                     seconds, and then the project can be closed.",
                    if edits == 1 { "1 label edit is".to_owned() } else { format!("{edits} label edits are") }
                ),
            );
        }
        !trouble
    }

    /// Labels are written by their keeper, which goes on in the background until it is done.
    fn close_project(&mut self) {
        if self.views.space.is_unsaved() {
            let _ = self.jobs.start_quiet("Writing the corrections", self.views.space.closing());
        }
        if let Some(mut open) = self.open.take() {
            self.views.label.settle(&mut open.labels);
            let labels = open.labels;
            let _ = self.jobs.start_quiet("Writing the labels", move |_| labels.close());
        }
    }

    fn middle(&mut self, ui: &mut egui::Ui, fired: &Fired) {
        let mut go = None;
        match self.screen {
            Screen::Start => {
                let wish = egui::CentralPanel::default()
                    .show(ui, |ui| self.start.ui(ui, &self.prefs, self.opening.is_some(), &self.wake))
                    .inner;
                match wish {
                    Some(super::views::StartWish::New) => self.screen = Screen::New,
                    Some(super::views::StartWish::Browse) => {
                        self.dialogs.ask("window: open", Ask::Project, "Open a project folder");
                    }
                    Some(super::views::StartWish::Open(path)) => self.open_project(&path),
                    Some(super::views::StartWish::Forget(path)) => self.prefs.recent.retain(|p| *p != path),
                    None => {}
                }
            }
            Screen::New => {
                let wish = egui::CentralPanel::default()
                    .show(ui, |ui| {
                        self.new.ui(ui, &mut self.jobs, &mut self.dialogs, &mut self.prefs, &mut self.notices)
                    })
                    .inner;
                match wish {
                    Some(super::views::NewWish::Cancel) => {
                        self.screen = if self.open.is_some() { Screen::Project } else { Screen::Start };
                    }
                    Some(super::views::NewWish::Made(root)) => {
                        self.new = NewProjectView::default();
                        self.place = Place::Videos;
                        self.open_project(&root);
                    }
                    None => {}
                }
            }
            Screen::Project => {
                if self.open.is_none() {
                    self.screen = Screen::Start;
                    return;
                }
            }
        }
        if let Some(open) = &mut self.open {
            let mut desk = Desk {
                open,
                jobs: &mut self.jobs,
                notices: &mut self.notices,
                dialogs: &mut self.dialogs,
                prefs: &mut self.prefs,
                fired,
                go: &mut go,
                wake: &self.wake,
            };
            self.views.poll(&mut desk); // also while the assistant is in front of it
            if matches!(self.screen, Screen::Project) {
                self.views.ui(self.place, ui, &mut desk);
            }
        }
        if let Some(place) = go {
            self.place = place;
            ui.ctx().request_repaint();
        }
    }
}
