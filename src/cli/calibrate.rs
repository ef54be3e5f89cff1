use super::{Report, Terminal};
use crate::camera::calibrate::{Grade, Options, dictionaries};
use crate::camera::{Board, LensModel, Mount, Rig, anipose};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::sealed::keep_copy;
use crate::show::{self, Calibrated};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Calibrate the cameras of a rig by videos or pictures of a board
///
/// RIG is a rig.yaml or its folder; it names the cameras and the board. Files belong to a camera by their names. The
/// calibration is written into rig.yaml, with pictures and tables in `calibration/` beside it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn calibrate rig --new --cameras left,right --board charuco:8x6:30:22:DICT_4X4_50
  limn calibrate rig board_left.mp4 board_right.mp4
  limn calibrate rig calibration-pictures/

Boards: checkerboard:COLUMNSxROWS:SQUARE (inner corners; mm), or
charuco:COLUMNSxROWS:SQUARE:MARKER:DICTIONARY (squares; mm). A checkerboard should have one odd and one even
number of corners, else it looks the same turned half round; a ChArUco board may be seen in part.")]
pub(super) struct Args {
    /// The rig: rig.yaml, or the folder it is in
    rig: PathBuf,
    /// Videos and pictures of the board, or folders of them
    #[arg(required_unless_present_any = ["new", "import", "export"])]
    files: Vec<PathBuf>,
    /// Begin a new rig instead
    #[arg(long, requires = "cameras", requires = "board", conflicts_with_all = ["files", "export"])]
    new: bool,
    /// Names of the cameras of a new rig, as they stand in file names
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    cameras: Vec<String>,
    /// The board of a new rig
    #[arg(long, value_name = "BOARD", value_parser = board)]
    board: Option<Board>,
    /// The cameras of a new rig have fisheye lenses
    #[arg(long)]
    fisheye: bool,
    /// Begin a new rig of the cameras in this calibration.toml of Anipose's
    #[arg(long, value_name = "FILE", conflicts_with_all = ["new", "files", "export"])]
    import: Option<PathBuf>,
    /// Write the calibrated cameras as a calibration.toml of Anipose's
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Frames to look at in each video
    #[arg(long, default_value_t = 400, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// Boards to use at most
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(4..=10_000))]
    boards: u32,
    /// Adjust only where the cameras stand, not their lenses, in the last step
    #[arg(long)]
    fix_lenses: bool,
}

/// Reads a board as the command line has it.
fn board(text: &str) -> Result<Board, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let size = |text: &str| -> Option<(usize, usize)> {
        let (a, b) = text.split_once('x')?;
        Some((a.parse().ok()?, b.parse().ok()?))
    };
    let number = |text: &str| text.parse::<f64>().ok();
    let read = || match parts[..] {
        ["checkerboard", wide, square] => {
            let (columns, rows) = size(wide)?;
            Some(Board::Checkerboard { columns, rows, square: number(square)? })
        }
        ["charuco", wide, square, marker, dictionary] => {
            let (columns, rows) = size(wide)?;
            let (square, marker) = (number(square)?, number(marker)?);
            let dictionary = dictionaries().find(|d| d.eq_ignore_ascii_case(dictionary))?;
            Some(Board::Charuco { columns, rows, square, marker, dictionary: dictionary.to_owned() })
        }
        _ => None,
    };
    let board = read().ok_or("write checkerboard:9x6:30 or charuco:8x6:30:22:DICT_4X4_50")?;
    board.check().map_err(|e| e.what().to_owned())?;
    Ok(board)
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    if args.new {
        return begin(args);
    }
    if let Some(file) = &args.import {
        return import(args, file);
    }
    let path = Rig::path(&args.rig);
    if args.files.is_empty()
        && let Some(file) = &args.export
    {
        return export(&Rig::read(&path)?, file);
    }
    let options = Options { lenses: !args.fix_lenses, ..Options::default() };
    let most = [args.frames as usize, args.boards as usize];
    let made = show::calibrate_rig(&path, &args.files, most, &options, terminal)?;
    if let Some(file) = args.export.as_ref().filter(|_| made.kept) {
        export(&made.done.rig, file)?;
    }
    Ok(report(&made))
}

/// A new rig of cameras that were calibrated elsewhere.
fn import(args: &Args, file: &Path) -> Result<Report> {
    let rig = Rig { board: args.board.clone(), ..Rig::from_cameras(anipose::read(file)?)? };
    let path = free(args)?;
    rig.write(&path)?;
    let names: Vec<&str> = rig.cameras.iter().map(|m| m.name.as_str()).collect();
    let text = format!("began {} with {}", path.display(), names.join(", "));
    Ok(Report::new(text, json!({ "rig": path, "cameras": names })))
}

/// The cameras for Anipose.
fn export(rig: &Rig, file: &Path) -> Result<Report> {
    let cameras = rig.calibrated()?;
    if file.exists() {
        keep_copy(file, "before")?;
    }
    anipose::write(file, &cameras)?;
    Ok(Report::new(format!("written to {}", file.display()), json!({ "calibration": file })))
}

/// Where a new rig goes, with its folder made.
fn free(args: &Args) -> Result<PathBuf> {
    // A folder's name may have a dot, too.
    let file = args.rig.extension().is_some_and(|e| e == "yaml" || e == "yml") && !args.rig.is_dir();
    let path = if file { args.rig.clone() } else { args.rig.join("rig.yaml") };
    if path.exists() {
        return Err(Error::new(Kind::Exists, "there is a rig already")
            .at(path.display())
            .mend("change it in a text editor, or name another folder"));
    }
    files::make_folder(&files::folder_of(&path))?;
    Ok(path)
}

/// A new rig.yaml.
fn begin(args: &Args) -> Result<Report> {
    let model = if args.fisheye { LensModel::Fisheye } else { LensModel::Pinhole };
    let mount = |name: &String| Mount { name: name.trim().to_owned(), model, ..Mount::default() };
    let rig = Rig {
        cameras: args.cameras.iter().map(mount).collect(),
        board: args.board.clone(),
        ..Rig::default()
    };
    rig.check()?;
    let path = free(args)?;
    rig.write(&path)?;
    let text = format!("began {}\nnext: limn calibrate {} BOARD-VIDEOS", path.display(), path.display());
    Ok(Report::new(text, json!({ "rig": path, "cameras": args.cameras })))
}

fn report(made: &Calibrated) -> Report {
    let Calibrated { done, shots: found, rig, folder, pictures, kept } = made;
    let mut text = format!(
        "{:.3} px from {} corners of {} views of the board in {found} shots ({:.3} px before lenses were adjusted too)\n",
        done.rms,
        done.residuals.len(),
        done.sights.len(),
        done.rms_before
    );
    for c in &done.cameras {
        if c.boards == 0 {
            text += &format!("  {:<12} no board of its own fits those of the others\n", c.name);
            continue;
        }
        text += &format!(
            "  {:<12} {:.3} px ({:.3} by itself), {} boards, {:.0} % of the picture; focal length {:.1} ({:.1}) px",
            c.name,
            c.rms_px,
            c.rms_alone_px,
            c.boards,
            100.0 * c.coverage,
            c.focal_px[0],
            c.focal_deviation_px[0]
        );
        text += &if c.place_deviation_mm > 0.0 {
            format!("; place to {:.2} mm\n", c.place_deviation_mm)
        } else {
            "\n".to_owned()
        };
    }
    for (camera, shot, error) in &done.dropped {
        let name = done.rig.cameras.get(*camera).map_or("", |m| m.name.as_str());
        text += &format!("  left out: {name}, {shot} ({error:.1} px)\n");
    }
    if done.astray > 0 {
        text += &format!("  left out: {} single corners that do not fit their boards\n", done.astray);
    }
    text += &format!(
        "{}\n{} {}; pictures and tables in {}",
        done.verdict.words(),
        if *kept { "written to" } else { "not written to" },
        rig.display(),
        folder.display()
    );
    let json = json!({
        "rig": rig,
        "rms_px": done.rms,
        "rms_before_px": done.rms_before,
        "cameras": done.cameras,
        "left_out": done.dropped.len(),
        "verdict": done.verdict,
        "kept": kept,
        "folder": folder,
        "pictures": pictures,
    });
    let mut report = Report::new(text, json);
    report.bad = done.verdict.grade == Grade::Poor;
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_are_read() {
        let flat = Board::Checkerboard { columns: 9, rows: 6, square: 30.0 };
        assert_eq!(board("checkerboard:9x6:30"), Ok(flat));
        assert!(board("charuco:8x6:30:22:DICT_4X4_50").is_ok());
        for wrong in
            ["", "checkerboard", "checkerboard:9:30", "charuco:8x6:30:31:DICT_4X4_50", "checkerboard:9x6:-1"]
        {
            assert!(board(wrong).is_err(), "{wrong}");
        }
    }
}
