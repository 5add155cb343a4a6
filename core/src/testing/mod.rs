//! Checks that take the crate as a whole: vectors, properties on random inputs, bodies of fuzz targets, threads in many
//! orders.

#[cfg(test)]
pub(crate) mod directory;
#[cfg(all(test, feature = "model"))]
mod flight_schedules;
#[cfg(test)]
mod properties;
pub(crate) mod targets;
#[cfg(test)]
pub(crate) mod vectors;

/// Waits for a condition that other threads bring about, for at most 20 seconds.
#[cfg(test)]
pub(crate) fn until(condition: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 20, "not yet: {condition}");
        std::thread::yield_now();
    }
}

/// Runs a check under random schedules of its threads. Each has the stack of a small thread: a gate is compiled on it.
#[cfg(all(test, feature = "model"))]
pub(crate) fn under_schedules(check: impl Fn() + Send + Sync + 'static, schedules: usize) {
    let mut config = shuttle::Config::new();
    config.stack_size = 256 * 1024;
    let scheduler = shuttle::scheduler::RandomScheduler::new(schedules);
    shuttle::Runner::new(scheduler, config).run(check);
}
