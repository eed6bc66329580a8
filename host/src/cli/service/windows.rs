//! The service of Windows: installed with an account of its own, and the daemon under the service manager. It was never seen to run on Windows;
//! see `docs/windows.md`.

mod folder;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceControl, ServiceControlAccept, ServiceErrorControl, ServiceExitCode,
    ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};

use super::super::run::{self, RunArgs};
use super::super::{Log, explained, print};
use super::{InstallArgs, NAME, UninstallArgs};
use crate::daemon;
use crate::files;
use crate::logging;

/// An account that belongs to the service alone, has no password, and may do little.
const ACCOUNT: &str = "NT SERVICE\\dropforge";
/// How long the service manager waits before it takes the daemon for one that hangs: plugins compile at the first start, and running
/// conversions end before a stop.
const PATIENCE: Duration = Duration::from_secs(600);
/// What the service manager says while another service is being started, of one that runs, and of one that is not there.
const DATABASE_LOCKED: i32 = 1055;
const RUNS_ALREADY: i32 = 1056;
const DOES_NOT_EXIST: i32 = 1060;
/// Says why the last start failed, in the folder of the service: it has no standard error, and without a configuration no log either.
const START_ERROR: &str = "start-error.txt";

pub(super) fn install(args: &InstallArgs) -> anyhow::Result<ExitCode> {
    let folder = folder::path()?;
    let config = match &args.config {
        Some(config) => std::path::absolute(config).context("cannot find the working directory")?,
        None => folder.join("dropforge.toml"),
    };
    let program = std::env::current_exe().context("cannot find this program")?;
    if args.dry_run {
        print(&format!(
            "folder {0}\nwrite {1}, if it is not there\nservice {NAME}: {2} run --service {0} -c {1}, at start-up, as {ACCOUNT}\nrights in {0} for {ACCOUNT}, \
             administrators and the system, and for nobody else\nstart {NAME}\n",
            folder.display(),
            config.display(),
            program.display(),
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_there = match open(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS) {
        // It must not lose its rights while it runs.
        Ok(service) => stop(&service).map(|()| true)?,
        Err(error) if error.is::<NotInstalled>() => false,
        Err(error) => return Err(error),
    };
    folder::make(&folder, args.take_over || is_there)?;
    if !config.exists() {
        files::write_whole(&config, sample(&folder).as_bytes()).with_context(|| format!("cannot write {}", config.display()))?;
    }
    let service = put(&program, &folder, &config)?;
    // Its account is there with the service.
    folder::grant(&folder, ACCOUNT)?;
    start(&service).context("the service is installed, and cannot be started: see the event log of the system")?;
    print("Starting; the first time, converters are compiled\n")?;
    wait_until(&service, |state| matches!(state, ServiceState::Running | ServiceState::Stopped))?;
    if state(&service)? == ServiceState::Stopped {
        let why = last_error(&folder).unwrap_or_else(|| "see its log, and the event log of the system".to_owned());
        bail!("the service is installed, and has stopped again: {why}");
    }
    print(&format!("Installed. Its configuration is {}; after a change: sc stop {NAME} & sc start {NAME}\n", config.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the service, or has the one that is there start this program.
fn put(program: &Path, folder: &Path, config: &Path) -> anyhow::Result<Service> {
    let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)
        .context("the service manager cannot be asked; run this as administrator")?;
    let info = ServiceInfo {
        name: OsString::from(NAME),
        display_name: OsString::from("Dropforge"),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program.to_owned(),
        launch_arguments: [OsStr::new("run"), OsStr::new("--service"), folder.as_os_str(), OsStr::new("-c"), config.as_os_str()]
            .map(OsStr::to_owned)
            .to_vec(),
        dependencies: Vec::new(),
        account_name: Some(OsString::from(ACCOUNT)),
        account_password: None,
    };
    let access = ServiceAccess::CHANGE_CONFIG | ServiceAccess::START | ServiceAccess::STOP | ServiceAccess::QUERY_STATUS;
    let service = match manager.open_service(NAME, access) {
        Ok(service) => {
            stop(&service)?;
            service.change_config(&info).context("cannot change the service")?;
            service
        }
        Err(_) => manager.create_service(&info, access).context("cannot make the service")?,
    };
    // The last one stands for all later ones: a configuration that is wrong stays so until somebody mends it.
    let again = |seconds| ServiceAction { action_type: ServiceActionType::Restart, delay: Duration::from_secs(seconds) };
    let actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(Duration::from_secs(86_400)),
        reboot_msg: None,
        command: None,
        actions: Some([5, 30, 60].map(again).into()),
    };
    let described = service.set_description("Turns files into documents with sandboxed converters.");
    // An end with an error is a failure too, not only a crash.
    let restarted = service.update_failure_actions(actions).and_then(|()| service.set_failure_actions_on_non_crash_failures(true));
    // It works without them.
    for (what, done) in [("be described", described), ("be started again when it has failed", restarted)] {
        if let Err(error) = done {
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            eprintln!("warning: the service cannot {what}: {why}");
        }
    }
    Ok(service)
}

pub(super) fn uninstall(args: &UninstallArgs) -> anyhow::Result<ExitCode> {
    if args.dry_run {
        print(&format!("stop {NAME}\nremove the service {NAME}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let service = open(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS | ServiceAccess::DELETE)?;
    stop(&service)?;
    service.delete().context("cannot remove the service")?;
    print(&format!("Removed. {} stays; remove it if it is not needed any more.\n", folder::path()?.display()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn status() -> anyhow::Result<ExitCode> {
    let service = match open(ServiceAccess::QUERY_STATUS) {
        Err(error) if error.is::<NotInstalled>() => {
            print("The service is not installed.\n")?;
            return Ok(ExitCode::FAILURE);
        }
        opened => opened?,
    };
    let status = service.query_status().context("cannot ask for the state of the service")?;
    let process = status.process_id.map_or_else(String::new, |id| format!(", process {id}"));
    print(&format!("{:?}{process}\n", status.current_state))?;
    if status.current_state == ServiceState::Stopped
        && let Some(why) = last_error(&folder::path()?)
    {
        print(&format!("The last start failed: {why}\n"))?;
    }
    Ok(if status.current_state == ServiceState::Running { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// There is no service of that name.
#[derive(Debug, thiserror::Error)]
#[error("the service is not installed")]
struct NotInstalled;

fn open(access: ServiceAccess) -> anyhow::Result<Service> {
    let manager =
        ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT).context("the service manager cannot be asked")?;
    manager.open_service(NAME, access).map_err(|error| match error {
        windows_service::Error::Winapi(error) if error.raw_os_error() == Some(DOES_NOT_EXIST) => NotInstalled.into(),
        other => anyhow::Error::from(other).context("the service cannot be opened; run this as administrator"),
    })
}

/// Starts it, as soon as no other service is being started.
fn start(service: &Service) -> windows_service::Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match service.start::<&OsStr>(&[]) {
            Err(windows_service::Error::Winapi(error)) if error.raw_os_error() == Some(DATABASE_LOCKED) && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(200));
            }
            // It was to be started again after a failure just now.
            Err(windows_service::Error::Winapi(error)) if error.raw_os_error() == Some(RUNS_ALREADY) => return Ok(()),
            started => return started,
        }
    }
}

/// Stops it, if it runs, and waits until running conversions have ended.
fn stop(service: &Service) -> anyhow::Result<()> {
    // While it starts or stops it cannot be told to.
    wait_until(service, |state| !matches!(state, ServiceState::StartPending | ServiceState::StopPending))?;
    if state(service)? == ServiceState::Stopped {
        return Ok(());
    }
    service.stop().context("cannot stop the service")?;
    wait_until(service, |state| state == ServiceState::Stopped)
}

fn state(service: &Service) -> anyhow::Result<ServiceState> {
    Ok(service.query_status().context("cannot ask for the state of the service")?.current_state)
}

fn wait_until(service: &Service, wanted: impl Fn(ServiceState) -> bool) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    while !wanted(state(service)?) {
        if Instant::now() > end {
            bail!("the service does not answer for {} s: end its process, and run this again", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Why its last start failed, if it did.
fn last_error(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join(START_ERROR)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The configuration to begin with. A service has no standard error: its log goes to files.
fn sample(folder: &Path) -> String {
    let at = |name: &str| toml::Value::from(folder.join(name).to_string_lossy().into_owned()).to_string();
    format!(
        "# The configuration of the service; everything that it may hold: `dropforge config schema`.\nstate_dir = {}\nplugins_dir = {}\n\n[log]\nfile = {}\n\n\
         [[routes]]\nname = \"default\"\nconverter = \"auto\"\nintake = {{ path = {}, create = true }}\ndestinations = [{{ type = \"folder\", path = {} }}]\n",
        at("state"),
        at("plugins"),
        at("log\\dropforge.log"),
        at("in"),
        at("out"),
    )
}

/// What the service manager's thread runs.
static ORDER: Mutex<Option<(RunArgs, Log)>> = Mutex::new(None);

define_windows_service!(entry, serve);

/// Runs the daemon for the service manager, which must have started this process.
///
/// # Errors
/// Where it has not.
pub(in crate::cli) fn dispatch(args: RunArgs, log: Log) -> anyhow::Result<ExitCode> {
    *ORDER.lock().unwrap_or_else(PoisonError::into_inner) = Some((args, log));
    service_dispatcher::start(NAME, entry).context("`--service` is for the service manager of Windows; use `dropforge run` without it")?;
    Ok(ExitCode::SUCCESS)
}

fn serve(_arguments: Vec<OsString>) {
    let Some((args, log)) = ORDER.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    // Its environment may name other folders than an administrator's does.
    let start_error = args.service.as_deref().map(|folder| folder.join(START_ERROR));
    // What it says is of an earlier start.
    if let Some(file) = &start_error {
        let _ = fs::remove_file(file);
    }
    let on_control = |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            daemon::stop_soon();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    let Ok(handle) = service_control_handler::register(NAME, on_control) else { return };
    say(handle, ServiceState::StartPending, 0);
    daemon::listen(Box::new(move |moment| match moment {
        daemon::Moment::Ready { .. } => say(handle, ServiceState::Running, 0),
        daemon::Moment::Reloading => {}
        daemon::Moment::Stopping => say(handle, ServiceState::StopPending, 0),
    }));
    let code = match run::run(args, &log) {
        Ok(code) if code == ExitCode::SUCCESS => 0,
        Ok(_) => 1,
        Err(error) => {
            if let Some(file) = &start_error {
                note(file, &explained(&error));
            }
            1
        }
    };
    logging::flush();
    say(handle, ServiceState::Stopped, code);
}

/// Leaves for `service status`, and whoever looks, why the daemon does not run.
fn note(file: &Path, why: &str) {
    if let Err(error) = fs::write(file, format!("{}\r\n", why.replace('\n', "\r\n"))) {
        tracing::error!(%error, file = %file.display(), "cannot write why");
    }
}

fn say(handle: ServiceStatusHandle, state: ServiceState, code: u32) {
    let pending = matches!(state, ServiceState::StartPending | ServiceState::StopPending);
    let controls_accepted = match state {
        ServiceState::Running => ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
        _ => ServiceControlAccept::empty(),
    };
    let told = handle.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted,
        exit_code: if code == 0 { ServiceExitCode::Win32(0) } else { ServiceExitCode::ServiceSpecific(code) },
        checkpoint: 0,
        wait_hint: if pending { PATIENCE } else { Duration::ZERO },
        process_id: None,
    });
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
