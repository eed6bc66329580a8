//! The service of Windows: installed with an account of its own, and the daemon under the service manager. It was never seen to run on Windows;
//! see `docs/windows.md`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceControl, ServiceControlAccept, ServiceErrorControl, ServiceExitCode,
    ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};

use super::super::run::{self, RunArgs};
use super::super::{Log, print, report};
use super::{InstallArgs, NAME, UninstallArgs};
use crate::daemon;
use crate::files;
use crate::logging;

/// An account that belongs to the service alone, has no password, and may do little.
const ACCOUNT: &str = "NT SERVICE\\dropforge";
/// How long the service manager waits before it takes the daemon for one that hangs: plugins compile at the first start, and running
/// conversions end before a stop.
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) fn install(args: &InstallArgs) -> anyhow::Result<ExitCode> {
    let folder = data_folder()?;
    let config = match &args.config {
        Some(config) => std::path::absolute(config).context("cannot find the working directory")?,
        None => folder.join("dropforge.toml"),
    };
    let program = std::env::current_exe().context("cannot find this program")?;
    if args.dry_run {
        print(&format!(
            "folder {0}\nwrite {1}, if it is not there\nservice {NAME}: {2} run --service -c {1}, at start-up, as {ACCOUNT}\nrights in {0} for {ACCOUNT}, \
             administrators and the system, and for nobody else\nstart {NAME}\n",
            folder.display(),
            config.display(),
            program.display(),
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    for name in ["", "state", "plugins", "in", "out", "log"] {
        files::create_folder(&folder.join(name)).with_context(|| format!("cannot make {}", folder.join(name).display()))?;
    }
    if !config.exists() {
        files::write_whole(&config, sample(&folder).as_bytes()).with_context(|| format!("cannot write {}", config.display()))?;
    }
    let service = put(&program, &config)?;
    // Its account is there with the service.
    icacls(&folder)?;
    service.start::<&OsStr>(&[]).context("the service is installed, and does not start: see its log, and the event log of the system")?;
    print(&format!("Installed. Its configuration is {}; after a change: sc stop {NAME} & sc start {NAME}\n", config.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the service, or has the one that is there start this program.
fn put(program: &Path, config: &Path) -> anyhow::Result<Service> {
    let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)
        .context("the service manager cannot be asked; run this as administrator")?;
    let info = ServiceInfo {
        name: OsString::from(NAME),
        display_name: OsString::from("Dropforge"),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program.to_owned(),
        launch_arguments: ["run", "--service", "-c"].map(OsString::from).into_iter().chain([config.as_os_str().to_owned()]).collect(),
        dependencies: Vec::new(),
        account_name: Some(OsString::from(ACCOUNT)),
        account_password: None,
    };
    let access = ServiceAccess::CHANGE_CONFIG | ServiceAccess::START | ServiceAccess::STOP | ServiceAccess::QUERY_STATUS;
    let service = match manager.open_service(NAME, access) {
        Ok(service) => {
            if service.query_status().context("cannot ask for the state of the service")?.current_state != ServiceState::Stopped {
                stop(&service)?;
            }
            service.change_config(&info).context("cannot change the service")?;
            service
        }
        Err(_) => manager.create_service(&info, access).context("cannot make the service")?,
    };
    service.set_description("Turns files into documents with sandboxed converters.").context("cannot describe the service")?;
    let again = || ServiceAction { action_type: ServiceActionType::Restart, delay: Duration::from_secs(5) };
    let actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(Duration::from_secs(86_400)),
        reboot_msg: None,
        command: None,
        actions: Some(vec![again(), again(), again()]),
    };
    service.update_failure_actions(actions).context("cannot say what is to be done when the service fails")?;
    // An end with an error is a failure too, not only a crash.
    service.set_failure_actions_on_non_crash_failures(true).context("cannot say that an end with an error is a failure")?;
    Ok(service)
}

/// Nobody but the service, administrators and the system may look into its folder.
fn icacls(folder: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("icacls");
    command.arg(folder).args(["/inheritance:r", "/grant", &format!("{ACCOUNT}:(OI)(CI)M"), "/grant", "*S-1-5-32-544:(OI)(CI)F"]);
    let output = command.args(["/grant", "*S-1-5-18:(OI)(CI)F", "/Q"]).output().context("cannot start icacls")?;
    if !output.status.success() {
        bail!("icacls {}: {}", folder.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

pub(super) fn uninstall(args: &UninstallArgs) -> anyhow::Result<ExitCode> {
    if args.dry_run {
        print(&format!("stop {NAME}\nremove the service {NAME}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let service = open(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS | ServiceAccess::DELETE)?;
    if service.query_status().context("cannot ask for the state of the service")?.current_state != ServiceState::Stopped {
        stop(&service)?;
    }
    service.delete().context("cannot remove the service")?;
    print(&format!("Removed. {} stays; remove it if it is not needed any more.\n", data_folder()?.display()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn status() -> anyhow::Result<ExitCode> {
    let Ok(service) = open(ServiceAccess::QUERY_STATUS) else {
        print("The service is not installed.\n")?;
        return Ok(ExitCode::FAILURE);
    };
    let status = service.query_status().context("cannot ask for the state of the service")?;
    let process = status.process_id.map_or_else(String::new, |id| format!(", process {id}"));
    print(&format!("{:?}{process}\n", status.current_state))?;
    Ok(if status.current_state == ServiceState::Running { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn open(access: ServiceAccess) -> anyhow::Result<Service> {
    let manager =
        ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT).context("the service manager cannot be asked")?;
    manager.open_service(NAME, access).context("the service is not installed, or this needs an administrator")
}

/// Stops it, and waits until running conversions have ended.
fn stop(service: &Service) -> anyhow::Result<()> {
    service.stop().context("cannot stop the service")?;
    let end = std::time::Instant::now() + PATIENCE;
    while service.query_status().context("cannot ask for the state of the service")?.current_state != ServiceState::Stopped {
        if std::time::Instant::now() > end {
            bail!("the service does not stop: end its process, and run this again");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Where the service has everything.
fn data_folder() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("ProgramData").map(PathBuf::from).filter(|folder| folder.is_absolute());
    Ok(folder.context("the environment does not name %ProgramData%")?.join("Dropforge"))
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
            tracing::error!("the daemon ends: {error:#}");
            let _ = report(&error);
            1
        }
    };
    logging::flush();
    say(handle, ServiceState::Stopped, code);
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
