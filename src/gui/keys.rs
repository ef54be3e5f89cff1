//! Everything that can be done by a key: actions, the keys they come with, and the keys the user gave them instead.
//!
//! A new action is a line in [`TABLE`] and a variant of [`Action`]; it then stands in the command palette and under
//! `?`, and its keys can be changed there. Views ask [`Fired::has`] and never look at keys themselves.

use eframe::egui::{Context, Event, Key, KeyboardShortcut, Modifiers};
use std::collections::BTreeMap;

/// Where an action means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everywhere.
    Window,
    /// Wherever a project is open.
    Project,
    /// Wherever a video is shown.
    Player,
    /// In the view of videos.
    Videos,
    /// In the labeller.
    Label,
    /// In the view of several cameras.
    Space,
}

impl Scope {
    /// The heading under which its actions are listed.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Window => "Everywhere",
            Self::Project => "With a project",
            Self::Player => "Playing a video",
            Self::Videos => "Videos",
            Self::Label => "Labeling",
            Self::Space => "3D",
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident: $scope:ident, $id:literal, $words:literal, [$($key:expr),*];)*) => {
        /// Something the user can do by a key or from the command palette.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)] // the words stand beside each in the table
        pub enum Action { $($(#[$doc])* $name),* }

        /// Every action, in the order of the lists: its scope, its name in files, its words, its usual keys.
        const TABLE: &[(Action, Scope, &str, &str, &[KeyboardShortcut])] =
            &[$((Action::$name, Scope::$scope, $id, $words, &[$($key),*])),*];
    };
}

const fn plain(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

const fn shift(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::SHIFT, key)
}

/// Ctrl, and Cmd on a Mac.
const fn command(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const fn command_shift(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), key)
}

actions! {
    Palette: Window, "palette", "Command palette", [command(Key::K), command_shift(Key::P)];
    Help: Window, "help", "Keyboard shortcuts", [plain(Key::Questionmark), plain(Key::F1)];
    NewProject: Window, "new-project", "New project…", [command(Key::N)];
    OpenProject: Window, "open-project", "Open project…", [command(Key::O)];
    CloseProject: Window, "close-project", "Close project", [command(Key::W)];
    Theme: Window, "theme", "Light or dark theme", [];
    Jobs: Window, "jobs", "Show or hide jobs", [command(Key::J)];
    Messages: Window, "messages", "Show or hide messages", [command(Key::M)];
    Dismiss: Window, "dismiss", "Dismiss the messages shown", [command_shift(Key::M)];
    ZoomIn: Window, "zoom-in", "Larger text and buttons", [command(Key::Plus), command(Key::Equals)];
    ZoomOut: Window, "zoom-out", "Smaller text and buttons", [command(Key::Minus)];
    ZoomReset: Window, "zoom-reset", "Text and buttons at their usual size", [command(Key::Num0)];
    Quit: Window, "quit", "Quit", [command(Key::Q)];

    GoProject: Project, "go-project", "Go to Project", [command(Key::Num1)];
    GoVideos: Project, "go-videos", "Go to Videos", [command(Key::Num2)];
    GoLabel: Project, "go-label", "Go to Label", [command(Key::Num3)];
    GoTrain: Project, "go-train", "Go to Train", [command(Key::Num4)];
    GoAnalyze: Project, "go-analyze", "Go to Analyze", [command(Key::Num5)];
    GoSpace: Project, "go-3d", "Go to 3D", [command(Key::Num6)];
    Save: Project, "save", "Write the label files now", [command(Key::S)];
    Undo: Project, "undo", "Undo", [command(Key::Z)];
    Redo: Project, "redo", "Redo", [command_shift(Key::Z), command(Key::Y)];

    MainStep: Project, "main-step", "The main step of this view: preview, train, analyze", [command(Key::Enter)];
    OpenNewest: Project, "open-newest", "Open the newest tracks", [command(Key::T)];

    PlayPause: Player, "play", "Play or pause", [plain(Key::Space)];
    NextFrame: Player, "next-frame", "Next frame", [plain(Key::ArrowRight), plain(Key::D)];
    PreviousFrame: Player, "previous-frame", "Previous frame", [plain(Key::ArrowLeft), plain(Key::A)];
    Forward: Player, "forward", "Ten frames forward", [shift(Key::ArrowRight)];
    Back: Player, "back", "Ten frames back", [shift(Key::ArrowLeft)];
    FirstFrame: Player, "first-frame", "First frame", [plain(Key::Home)];
    LastFrame: Player, "last-frame", "Last frame", [plain(Key::End)];
    JumpToFrame: Player, "jump-to-frame", "Go to frame number", [command(Key::G)];

    NextPicture: Label, "label-next", "Next frame", [plain(Key::D)];
    PreviousPicture: Label, "label-previous", "Previous frame", [plain(Key::A)];
    NextUnlabeled: Label, "label-next-unlabeled", "Next unlabeled frame", [plain(Key::U), command(Key::D)];
    FirstPicture: Label, "label-first", "First frame", [plain(Key::Home)];
    LastPicture: Label, "label-last", "Last frame", [plain(Key::End)];
    NextPart: Label, "next-part", "Next body part", [plain(Key::S)];
    PreviousPart: Label, "previous-part", "Previous body part", [plain(Key::W)];
    RemovePoint: Label, "remove-point", "Remove the selected point", [plain(Key::Backspace), plain(Key::Delete)];
    NotVisible: Label, "not-visible", "Body part is not visible", [plain(Key::N)];
    RestNotVisible: Label, "rest-not-visible", "All body parts still to do are not visible", [shift(Key::N)];
    CopyPrevious: Label, "copy-previous", "Copy points that are to do from the previous frame", [plain(Key::C)];
    CopyAllPrevious: Label, "copy-all-previous", "Copy all points from the previous frame", [shift(Key::C)];
    NudgeLeft: Label, "nudge-left", "Move the point 1 px left", [plain(Key::ArrowLeft)];
    NudgeRight: Label, "nudge-right", "Move the point 1 px right", [plain(Key::ArrowRight)];
    NudgeUp: Label, "nudge-up", "Move the point 1 px up", [plain(Key::ArrowUp)];
    NudgeDown: Label, "nudge-down", "Move the point 1 px down", [plain(Key::ArrowDown)];
    PushLeft: Label, "push-left", "Move the point 10 px left", [shift(Key::ArrowLeft)];
    PushRight: Label, "push-right", "Move the point 10 px right", [shift(Key::ArrowRight)];
    PushUp: Label, "push-up", "Move the point 10 px up", [shift(Key::ArrowUp)];
    PushDown: Label, "push-down", "Move the point 10 px down", [shift(Key::ArrowDown)];
    LabelMode: Label, "label-mode", "Next mode: sequential, quick, loop", [plain(Key::M)];
    FitPicture: Label, "fit", "Show the whole picture", [plain(Key::F)];
    ActualSize: Label, "actual-size", "Show pixels one to one", [plain(Key::Num0)];
    Closer: Label, "closer", "Zoom into the picture", [plain(Key::Plus), plain(Key::Equals)];
    Farther: Label, "farther", "Zoom out of the picture", [plain(Key::Minus)];
    Magnifier: Label, "magnifier", "Magnifier on or off", [plain(Key::Z)];
    ShowSkeleton: Label, "show-skeleton", "Skeleton on or off", [plain(Key::K)];
    ShowNames: Label, "show-names", "Names on or off", [plain(Key::T)];
    ShowGhosts: Label, "show-ghosts", "Ghosts of the neighboring frames on or off", [plain(Key::G)];
    AcceptProposal: Label, "accept-proposal", "Accept what other cameras propose for this body part", [plain(Key::P)];
    AcceptAllProposals: Label, "accept-all-proposals", "Accept all that other cameras propose", [shift(Key::P)];
    Animal1: Label, "animal-1", "First individual", [plain(Key::Num1)];
    Animal2: Label, "animal-2", "Second individual", [plain(Key::Num2)];
    Animal3: Label, "animal-3", "Third individual", [plain(Key::Num3)];
    Animal4: Label, "animal-4", "Fourth individual", [plain(Key::Num4)];
    Animal5: Label, "animal-5", "Fifth individual", [plain(Key::Num5)];
    Animal6: Label, "animal-6", "Sixth individual", [plain(Key::Num6)];
    Animal7: Label, "animal-7", "Seventh individual", [plain(Key::Num7)];
    Animal8: Label, "animal-8", "Eighth individual", [plain(Key::Num8)];
    Animal9: Label, "animal-9", "Ninth individual", [plain(Key::Num9)];

    OrbitLeft: Space, "orbit-left", "Turn the scene to the left", [plain(Key::J)];
    OrbitRight: Space, "orbit-right", "Turn the scene to the right", [plain(Key::L)];
    OrbitUp: Space, "orbit-up", "See the scene from higher up", [plain(Key::I)];
    OrbitDown: Space, "orbit-down", "See the scene from lower down", [plain(Key::K)];
    SpaceCloser: Space, "space-closer", "Closer to the scene", [plain(Key::Plus), plain(Key::Equals)];
    SpaceFarther: Space, "space-farther", "Farther from the scene", [plain(Key::Minus)];
    SpaceReset: Space, "space-reset", "See the whole scene", [plain(Key::R), plain(Key::Num0)];
    CorrectPoint: Space, "correct-point", "Correct points, or stop it", [plain(Key::C)];
    SpaceNextPart: Space, "space-next-part", "Next body part to correct", [plain(Key::S)];
    SpacePreviousPart: Space, "space-previous-part", "Previous body part to correct", [plain(Key::W)];
    NextCamera: Space, "next-camera", "Enlarge the next camera, or the scene again", [plain(Key::V)];

    ExtractFrame: Videos, "extract-frame", "Extract this frame for labeling", [plain(Key::E)];
}

impl Action {
    fn row(self) -> Option<&'static (Self, Scope, &'static str, &'static str, &'static [KeyboardShortcut])> {
        TABLE.iter().find(|row| row.0 == self)
    }

    /// All actions, in the order of lists.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// Where it means something.
    #[must_use]
    pub fn scope(self) -> Scope {
        self.row().map_or(Scope::Window, |row| row.1)
    }

    /// Its name in the preferences file.
    #[must_use]
    pub fn id(self) -> &'static str {
        self.row().map_or("", |row| row.2)
    }

    /// What it does, in a few words.
    #[must_use]
    pub fn words(self) -> &'static str {
        self.row().map_or("", |row| row.3)
    }

    /// The keys it comes with.
    #[must_use]
    pub fn usual(self) -> &'static [KeyboardShortcut] {
        self.row().map_or(&[], |row| row.4)
    }

    fn by_id(id: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == id).map(|row| row.0)
    }
}

/// The keys of every action, the user's own before the usual ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Keys {
    own: BTreeMap<Action, Vec<KeyboardShortcut>>,
}

impl Keys {
    /// The keys of an action.
    #[must_use]
    pub fn of(&self, action: Action) -> &[KeyboardShortcut] {
        self.own.get(&action).map_or(action.usual(), Vec::as_slice)
    }

    /// Whether the user changed them.
    #[must_use]
    pub fn is_own(&self, action: Action) -> bool {
        self.own.contains_key(&action)
    }

    /// Gives an action one key of the user's choice, and takes it from those actions it would be mixed up with,
    /// which are returned.
    pub fn set(&mut self, action: Action, key: KeyboardShortcut) -> Vec<Action> {
        let rivals = self.take_from_rivals(action, key);
        self.own.insert(action, vec![key]);
        rivals
    }

    fn take_from_rivals(&mut self, action: Action, key: KeyboardShortcut) -> Vec<Action> {
        let rivals: Vec<Action> = Action::all()
            .filter(|a| *a != action && meet(a.scope(), action.scope()) && self.of(*a).contains(&key))
            .collect();
        for rival in &rivals {
            let left = self.of(*rival).iter().copied().filter(|k| *k != key).collect();
            self.own.insert(*rival, left);
        }
        rivals
    }

    /// The usual keys again, taken back from whoever has them now.
    pub fn reset(&mut self, action: Action) {
        self.own.remove(&action);
        for key in action.usual() {
            self.take_from_rivals(action, *key);
        }
    }

    /// The keys in words, such as `Ctrl+K`; empty when there are none.
    #[must_use]
    pub fn words(&self, ctx: &Context, action: Action) -> String {
        let words = |k| ctx.format_shortcut(k).replace("Questionmark", "?");
        self.of(action).iter().map(words).collect::<Vec<_>>().join(" or ")
    }

    /// What a control says under the pointer: `words`, with the key of its action.
    #[must_use]
    pub fn tip(&self, ctx: &Context, action: Action) -> String {
        let keys = self.words(ctx, action);
        if keys.is_empty() { action.words().to_owned() } else { format!("{} ({keys})", action.words()) }
    }

    /// As the preferences file holds them: action to keys, such as `{theme: [Ctrl+T]}`.
    #[must_use]
    pub fn to_file(&self) -> BTreeMap<String, Vec<String>> {
        self.own.iter().map(|(a, keys)| (a.id().to_owned(), keys.iter().map(spell).collect())).collect()
    }

    /// From the preferences file; what is not understood is left out and told.
    #[must_use]
    pub fn from_file(file: &BTreeMap<String, Vec<String>>) -> (Self, Vec<String>) {
        let mut keys = Self::default();
        let mut unknown = Vec::new();
        for (id, list) in file {
            let Some(action) = Action::by_id(id) else {
                unknown.push(format!("the shortcut of `{id}`, which this limn does not know"));
                continue;
            };
            let mut known = Vec::new();
            for text in list {
                match parse(text) {
                    Some(key) => known.push(key),
                    None => unknown.push(format!("the key `{text}` of `{id}`")),
                }
            }
            keys.own.insert(action, known);
        }
        (keys, unknown)
    }
}

/// Whether two scopes can be active at once.
fn meet(a: Scope, b: Scope) -> bool {
    use Scope::{Label, Player, Project, Space, Videos, Window};
    a == b
        || matches!(a, Window | Project)
        || matches!(b, Window | Project)
        || matches!((a, b), (Player, Videos | Space) | (Videos | Space, Player))
        || !matches!((a, b), (Label | Space, _) | (_, Label | Space))
}

fn spell(key: &KeyboardShortcut) -> String {
    let m = key.modifiers;
    let mut text = String::new();
    for (held, word) in [(m.command || m.ctrl || m.mac_cmd, "Ctrl+"), (m.alt, "Alt+"), (m.shift, "Shift+")] {
        if held {
            text += word;
        }
    }
    text + key.logical_key.name()
}

fn parse(text: &str) -> Option<KeyboardShortcut> {
    let mut modifiers = Modifiers::NONE;
    let mut rest = text;
    loop {
        let (more, after) = match rest {
            r if r.starts_with("Ctrl+") => (Modifiers::COMMAND, 5),
            r if r.starts_with("Alt+") => (Modifiers::ALT, 4),
            r if r.starts_with("Shift+") => (Modifiers::SHIFT, 6),
            _ => break,
        };
        modifiers = modifiers.plus(more);
        rest = &rest[after..];
    }
    Some(KeyboardShortcut::new(modifiers, Key::from_name(rest)?))
}

/// The actions that happen in this pass.
#[derive(Debug, Default)]
pub struct Fired(Vec<Action>);

impl Fired {
    /// Takes the keys pressed since the last pass that mean something in `scopes`.
    #[must_use]
    pub fn take(ctx: &Context, keys: &Keys, scopes: &[Scope]) -> Self {
        let typing = ctx.text_edit_focused();
        let focused = ctx.memory(|m| m.focused().is_some());
        let mut fired = Vec::new();
        // In the order in which they were pressed: a slow pass may bring several.
        ctx.input_mut(|input| {
            input.events.retain(|event| {
                let Event::Key { key, pressed: true, modifiers, .. } = event else { return true };
                let action = Action::all().filter(|a| scopes.contains(&a.scope())).find(|action| {
                    keys.of(*action).iter().any(|wanted| {
                        let m = wanted.modifiers;
                        let bare = !(m.command || m.ctrl || m.alt);
                        // While text is typed its keys are text; a focused button keeps the keys that press it.
                        let kept =
                            bare && (typing || focused && presses(*key)) || typing && edits_text(wanted);
                        !kept && is_pressed(wanted, *key, *modifiers)
                    })
                });
                fired.extend(action);
                action.is_none()
            });
        });
        Self(fired)
    }

    /// Adds an action that was chosen otherwise: by a button, or in the palette.
    pub fn add(&mut self, action: Action) {
        self.0.push(action);
    }

    /// Whether it happens in this pass.
    #[must_use]
    pub fn has(&self, action: Action) -> bool {
        self.0.contains(&action)
    }

    /// All of them, in the order in which they were asked for.
    pub fn iter(&self) -> impl Iterator<Item = Action> {
        self.0.iter().copied()
    }

    /// How often it happens in this pass (a held key repeats).
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.0.iter().filter(|a| **a == action).count()
    }
}

/// Keys that press or leave a focused control.
fn presses(key: Key) -> bool {
    use Key::{ArrowDown, ArrowLeft, ArrowRight, ArrowUp, Enter, Space};
    matches!(key, Space | Enter | ArrowLeft | ArrowRight | ArrowUp | ArrowDown)
}

/// Keys with Ctrl that a text field wants for itself.
fn edits_text(key: &KeyboardShortcut) -> bool {
    matches!(key.logical_key, Key::A | Key::C | Key::V | Key::X | Key::Z | Key::Y | Key::W)
}

/// Whether this press is exactly that shortcut.
fn is_pressed(wanted: &KeyboardShortcut, key: Key, modifiers: Modifiers) -> bool {
    // The sign `?` is typed with Shift on most keyboards, and without on some.
    let signs = matches!(wanted.logical_key, Key::Questionmark | Key::Plus | Key::Equals | Key::Minus);
    let held = if signs {
        modifiers.matches_logically(wanted.modifiers)
    } else {
        modifiers.matches_exact(wanted.modifiers)
    };
    key == wanted.logical_key && held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_actions_share_a_key_where_both_can_happen() {
        let keys = Keys::default();
        for a in Action::all() {
            assert!(!a.words().is_empty() && !a.id().is_empty());
            for b in Action::all().filter(|b| *b > a && meet(a.scope(), b.scope())) {
                for key in keys.of(a) {
                    assert!(!keys.of(b).contains(key), "{a:?} and {b:?} share {key:?}");
                }
            }
        }
    }

    #[test]
    fn keys_come_back_from_the_file() {
        let mut keys = Keys::default();
        let taken = keys.set(Action::Theme, command(Key::K));
        assert_eq!(taken, [Action::Palette]);
        assert_eq!(keys.of(Action::Palette), [command_shift(Key::P)]);
        let (back, unknown) = Keys::from_file(&keys.to_file());
        assert_eq!(back, keys);
        assert!(unknown.is_empty());
        let odd =
            BTreeMap::from([("theme".to_owned(), vec!["Hyper+Q".to_owned()]), ("fly".to_owned(), vec![])]);
        assert_eq!(Keys::from_file(&odd).1.len(), 2);
    }
}
