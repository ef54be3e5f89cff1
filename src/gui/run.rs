//! Opening the window on this machine.

use super::Place;
use super::prefs::{self, Prefs};
use super::window::{Start, Window};
use crate::error::{Error, Kind, Result};
use eframe::egui;
use std::path::PathBuf;
use std::time::Duration;

/// What draws the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renderer {
    /// wgpu (Vulkan, Metal, DirectX 12); OpenGL where that does not start.
    Auto,
    /// wgpu only.
    Wgpu,
    /// OpenGL only.
    OpenGl,
}

/// Opens the window, on a project or on the start screen, and comes back when it is closed: by its user, or because
/// `stopped`, which is asked a few times a second, says so.
///
/// # Errors
/// [`Kind::Device`] when there is no display, or no renderer starts; the mend names what is missing.
pub fn run(
    project: Option<PathBuf>,
    place: Option<Place>,
    renderer: Renderer,
    stopped: fn() -> bool,
) -> Result<()> {
    display_is_there()?;
    let path = prefs::path();
    let (prefs, told) = path.as_ref().map_or_else(|| (Prefs::default(), Vec::new()), |p| Prefs::read(p));
    let start = Start { project, place, prefs, told, prefs_path: path };
    let first = if renderer == Renderer::OpenGl { eframe::Renderer::Glow } else { eframe::Renderer::Wgpu };
    let Err(reason) = open(first, start, stopped) else { return Ok(()) };
    if renderer == Renderer::Auto {
        tracing::warn!("wgpu does not start ({reason}); trying OpenGL");
        // A program can open only one event loop, so the second try is a second program.
        if let Some(status) = again_on_opengl() {
            return if status {
                Ok(())
            } else {
                Err(Error::new(Kind::Device, "the window could not be opened").mend("see the message above"))
            };
        }
    }
    Err(Error::new(Kind::Device, format!("no renderer starts the window: {reason}")).mend(
        "install a graphics driver: on Debian and Ubuntu `mesa-vulkan-drivers` and `libgl1-mesa-dri` (they also draw \
         without a GPU), or the driver of your GPU's maker; every command works without a window too",
    ))
}

fn open(renderer: eframe::Renderer, start: Start, stopped: fn() -> bool) -> std::result::Result<(), String> {
    let options = eframe::NativeOptions {
        renderer,
        viewport: egui::ViewportBuilder::default()
            .with_app_id("limn")
            .with_title("limn")
            .with_inner_size([1280.0, 820.0])
            .with_min_inner_size([860.0, 560.0])
            .with_drag_and_drop(true),
        // Sizes of window and panels, beside the preferences.
        persistence_path: prefs::path().map(|p| p.with_file_name("layout.ron")),
        ..eframe::NativeOptions::default()
    };
    // Window libraries panic where a system library is missing; that is an answer too.
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eframe::run_native(
            "limn",
            options,
            Box::new(|cc| {
                close_when(stopped, cc.egui_ctx.clone());
                Ok(Box::new(Window::new(&cc.egui_ctx, start)))
            }),
        )
    }));
    match opened {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_else(|| "the window library broke off".into())),
    }
}

/// Closes the window as its user would, once `stopped` says so.
fn close_when(stopped: fn() -> bool, ctx: egui::Context) {
    std::thread::spawn(move || {
        while !stopped() {
            std::thread::sleep(Duration::from_millis(200));
        }
        ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        ctx.request_repaint();
    });
}

/// Starts this program once more with OpenGL; whether it ended well, `None` when it could not be started.
fn again_on_opengl() -> Option<bool> {
    let program = std::env::current_exe().ok()?;
    let status = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .env("LIMN_RENDERER", "opengl")
        .status()
        .ok()?;
    Some(status.success())
}

/// On Linux a window needs a display and, under X11, one library that is loaded only then.
fn display_is_there() -> Result<()> {
    if !cfg!(all(unix, not(target_os = "macos"))) {
        return Ok(());
    }
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    if set("DISPLAY") || set("WAYLAND_DISPLAY") || set("WAYLAND_SOCKET") {
        return Ok(());
    }
    Err(Error::new(Kind::Device, "there is no display to open a window on")
        .mend("run limn on a desktop, or over `ssh -X`; every step also has a command: see `limn help`"))
}

impl eframe::App for Window {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        Self::ui(self, ui);
    }

    /// Window systems that count in whole pixels name a pixel by its upper left corner; what is meant is its middle,
    /// and half a pixel is worth having when a label is placed.
    fn raw_input_hook(&mut self, ctx: &egui::Context, input: &mut egui::RawInput) {
        let scale = ctx.pixels_per_point();
        let middle = |pos: &mut egui::Pos2| {
            let whole = |v: f32| (v * scale - (v * scale).round()).abs() < 1e-3;
            if whole(pos.x) && whole(pos.y) {
                *pos += egui::Vec2::splat(0.5 / scale);
            }
        };
        for event in &mut input.events {
            match event {
                egui::Event::PointerMoved(pos) | egui::Event::PointerButton { pos, .. } => middle(pos),
                _ => {}
            }
        }
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.finish();
    }
}
