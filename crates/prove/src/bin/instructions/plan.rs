//! Which instructions of a cell somebody is killed at, and the killing.
//!
//! ```text
//!   one run to the end: steps, where memory changes, system calls, sleeps
//!        ▼
//!   few enough: every instruction;  else: before and behind each change of memory and each
//!   system call, inside each sleep, and a sample of the rest
//!        ▼
//!   a new ring for each: led there, killed, survived, judged
//! ```
//!
//! Imports: verbs, world.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use annulus_prove::step::{Led, Step};

use crate::making;
use crate::scratch::Scratch;
use crate::verbs::{Cell, Company, Verb};
use crate::world::{Point, World, whereabouts};

/// A verb that takes more steps than this has no end.
const ENDLESS: u64 = 3_000_000;

/// What one run to the end has shown.
#[derive(Debug, Default)]
pub struct Course {
    pub steps: u64,
    /// Behind so many steps memory is another, for the first time.
    pub images: Vec<u64>,
    /// Behind so many steps a system call is next.
    calls: Vec<u64>,
    /// Behind so many steps the next one sleeps.
    pub sleeps: Vec<u64>,
    /// The instruction that is next behind so many steps.
    places: Vec<u64>,
    /// Behind how many steps an instruction is next.
    visits: HashMap<u64, Vec<u64>>,
}

impl Course {
    /// Leads one through its whole verb. `image`: a number for what memory is like;
    /// `unblock`: lets it go on when it sleeps.
    pub fn of(
        led: &mut Led,
        image: impl Fn() -> u64,
        mut unblock: impl FnMut() -> Result<(), String>,
    ) -> Result<Self, String> {
        let (mut course, mut seen) = (Self::default(), BTreeSet::new());
        loop {
            if seen.insert(image()) {
                course.images.push(course.steps);
            }
            if led.system_call().is_some() {
                course.calls.push(course.steps);
            }
            let place = led.at();
            course.places.push(place);
            course.visits.entry(place).or_default().push(course.steps);
            match led.step() {
                Step::Stepped => {}
                Step::Blocked => {
                    course.sleeps.push(course.steps);
                    unblock()?;
                    if led.wake(Duration::from_secs(10)) != Step::Stepped {
                        return Err(format!("one who was woken sleeps on: {}", whereabouts(led)));
                    }
                }
                Step::Marker => return Ok(course),
                Step::Ended => return Err("the victim died by itself".into()),
            }
            course.steps += 1;
            if course.steps > ENDLESS {
                return Err("the verb has no end".into());
            }
        }
    }

    /// The quickest way from behind `from` steps to behind `to`, if none of them sleeps: an
    /// instruction to run to, how often it comes by, and the steps from there.
    fn way(&self, from: u64, to: u64) -> Option<(u64, u64, u64)> {
        let reach = (to.saturating_sub(from)).min(400);
        let ways = (0..reach).filter_map(|rest| {
            let place = *self.places.get((to - rest) as usize)?;
            let visits = &self.visits[&place];
            let before = |step| visits.partition_point(|visit| *visit <= step);
            Some((place, (before(to - rest) - before(from)) as u64, rest))
        });
        // A stop costs about as much as two steps.
        ways.min_by_key(|(_, times, rest)| 3 * times + rest)
    }

    /// Takes one there who is behind `from` steps. False: the verb was over before.
    pub fn lead(&self, led: &mut Led, from: u64, to: u64) -> Result<bool, String> {
        let Some((place, times, rest)) = self.way(from, to) else {
            return Ok(from >= to || led.steps_on(to - from) == Step::Stepped);
        };
        if led.run_to(place, times, Duration::from_secs(10)) == Step::Stepped {
            return Ok(led.steps_on(rest) == Step::Stepped);
        }
        Ok(false)
    }
}

/// What is tried within a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    pub point: Point,
    /// A rival's operation behind so many steps.
    pub rival: Option<u64>,
    /// Where the second one is killed, in which of its courses.
    pub second: Option<(usize, Point)>,
}

impl std::fmt::Display for Try {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inside = |point: &Point| if point.inside { " inside the call" } else { "" };
        write!(f, "k={}{}", self.point.after, inside(&self.point))?;
        if let Some(rival) = self.rival {
            write!(f, " rival at {rival}")?;
        }
        if let Some((_, second)) = &self.second {
            write!(f, " second k={}{}", second.after, inside(second))?;
        }
        Ok(())
    }
}

/// How much of a cell is tried.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// A verb of so many points at most has them all tried.
    pub all: usize,
    /// A longer one so many of them.
    pub sample: usize,
    /// Distinct images after which a second one comes.
    pub images: usize,
    pub seed: u64,
}

/// The workshop of one worker.
pub struct Shop {
    pub scratch: Scratch,
    pub tag: String,
    pub made: u64,
}

impl Shop {
    fn tag(&mut self) -> String {
        self.made += 1;
        format!("{}-{}", self.tag, self.made)
    }

    /// The course of the cell's verb.
    fn first(&mut self, cell: Cell) -> Result<Course, String> {
        let tag = self.tag();
        if cell.verb.makes() {
            return making::course(cell, &tag);
        }
        let (mut world, mut led) = World::new(cell, &self.scratch, &tag)?;
        let course = world.course(&mut led, cell.verb.sends())?;
        led.kill();
        world.bury(cell.verb, 0);
        world.survive(true)?;
        Ok(course)
    }

    /// The course of the second one's verb, the first being killed at a point.
    fn second(
        &mut self,
        cell: Cell,
        verb: Verb,
        first: &Course,
        point: Point,
    ) -> Result<Course, String> {
        let tag = self.tag();
        let (mut world, mut led) = World::new(cell, &self.scratch, &tag)?;
        let mut second = world.second(verb);
        world.lead(&mut led, (first, 0), point, cell.verb.sends())?;
        led.kill();
        world.bury(cell.verb, 0);
        let course = world.course(&mut second, verb.sends())?;
        second.kill();
        world.bury(verb, 1);
        world.survive(true)?;
        Ok(course)
    }

    /// One ring, one or two deaths, an account.
    pub fn attempt(&mut self, cell: Cell, plan: &Plan, number: usize) -> Result<(), String> {
        let tag = self.tag();
        let (attempt, course) = (plan.tries[number], &plan.course);
        if cell.verb.makes() {
            return making::attempt(cell, &tag, course, attempt.point);
        }
        let (mut world, mut led) = World::new(cell, &self.scratch, &tag)?;
        let mut second = plan.second.map(|verb| (verb, world.second(verb)));
        let sends = cell.verb.sends();
        if let Some(rival) = attempt.rival {
            let there = Point { after: rival, inside: false };
            if world.lead(&mut led, (course, 0), there, sends)? {
                world.rival(rival)?;
                // From here on nobody knows the way.
                let rest = attempt.point.after - rival;
                world.step(&mut led, rest, sends)?;
            }
        } else {
            world.lead(&mut led, (course, 0), attempt.point, sends)?;
        }
        led.kill();
        world.bury(cell.verb, 0);
        if let (Some((verb, led)), Some((course, point))) = (&mut second, attempt.second) {
            world.lead(led, (&plan.seconds[course], 0), point, verb.sends())?;
        }
        if let Some((verb, led)) = second {
            led.kill();
            world.bury(verb, 1);
        }
        world.survive(number.is_multiple_of(2))
    }

    /// What is tried in a cell.
    pub fn plan(&mut self, cell: Cell, extent: Extent) -> Result<Plan, String> {
        let course = self.first(cell)?;
        let one = |point| Try { point, rival: None, second: None };
        let mut plan = Plan::default();
        match cell.company {
            Company::None | Company::Waiter => {
                plan.tries = points(&course, extent).into_iter().map(one).collect();
            }
            Company::Rival => plan.tries = rivals(&course, extent),
            Company::Second(verb) => {
                plan.second = Some(verb);
                // Behind a sleep, somebody would have to wake it whose seat the second one has.
                let first_sleep = course.sleeps.first().copied().unwrap_or(u64::MAX);
                let before = |image: &u64| *image <= first_sleep;
                // At the end of each time in which memory is the same: the dead one knows most.
                let ends = course.images.iter().skip(1).map(|image| image - 1);
                let ends = ends.chain([course.steps]);
                let images: Vec<u64> = ends.filter(before).collect();
                let images = sample(&images, extent.images, extent.seed);
                for after in images {
                    let point = Point { after, inside: false };
                    let second = self.second(cell, verb, &course, point)?;
                    let points = points(&second, extent).into_iter();
                    let number = plan.seconds.len();
                    let both = |it| Try { second: Some((number, it)), ..one(point) };
                    plan.tries.extend(points.map(both));
                    plan.seconds.push(second);
                }
            }
        }
        plan.course = course;
        Ok(plan)
    }
}

/// What is tried in a cell, and the ways there.
#[derive(Default)]
pub struct Plan {
    pub course: Course,
    pub tries: Vec<Try>,
    second: Option<Verb>,
    /// Courses of the second verb, each after another image that the first one left.
    seconds: Vec<Course>,
}

/// Every point, or so many of them.
fn points(course: &Course, extent: Extent) -> Vec<Point> {
    let outside = |after| Point { after, inside: false };
    let inside = course.sleeps.iter().map(|&after| Point { after, inside: true });
    let all = course.steps as usize + 1;
    if all + course.sleeps.len() <= extent.all {
        return (0..=course.steps).map(outside).chain(inside).collect();
    }
    let mut points: BTreeSet<Point> = inside.chain([outside(course.steps)]).collect();
    // What memory is like tells survivors most: it counts twice.
    let images: BTreeSet<u64> = course.images.iter().copied().collect();
    let images: Vec<u64> = images.into_iter().collect();
    points.extend(sample(&images, extent.sample / 2, extent.seed).into_iter().map(outside));
    let edges = course.images.iter().chain(&course.calls);
    let near: BTreeSet<u64> =
        edges.flat_map(|&at| [at.saturating_sub(1), at, (at + 1).min(course.steps)]).collect();
    let near: Vec<u64> = near.into_iter().collect();
    points.extend(sample(&near, extent.sample / 4, extent.seed).into_iter().map(outside));
    let mut random = extent.seed;
    while points.len() < extent.sample {
        points.insert(outside(next(&mut random) % (course.steps + 1)));
    }
    points.into_iter().collect()
}

/// Pairs: somebody's operation, then the kill.
fn rivals(course: &Course, extent: Extent) -> Vec<Try> {
    let steps = course.steps;
    let pairs = (steps + 1) * (steps + 2) / 2;
    let pair = |rival, after| Try {
        point: Point { after, inside: false },
        rival: Some(rival),
        second: None,
    };
    if pairs as usize <= extent.all {
        return (0..=steps).flat_map(|k1| (k1..=steps).map(move |k2| pair(k1, k2))).collect();
    }
    // Every place of the operation is followed by kills soon after it, where an exchange that
    // it made fail is met, and by others anywhere.
    let mut random = extent.seed;
    let each = (extent.sample as u64 / (steps + 1)).max(1);
    let places: Vec<u64> = (0..=steps).collect();
    let places = sample(&places, extent.sample, extent.seed);
    places
        .into_iter()
        .flat_map(|k1| {
            let mut kills = BTreeSet::new();
            for n in 0..each {
                let reach = if n.is_multiple_of(2) { 24 } else { steps - k1 + 40 };
                kills.insert(k1 + next(&mut random) % (reach + 1));
            }
            kills.into_iter().map(move |k2| pair(k1, k2))
        })
        .collect()
}

/// So many of them, evenly, from a place that the seed says.
fn sample(all: &[u64], most: usize, seed: u64) -> Vec<u64> {
    if all.len() <= most || most == 0 {
        return all.to_vec();
    }
    let from = seed as usize % all.len();
    (0..most).map(|n| all[(from + n * all.len() / most) % all.len()]).collect()
}

/// The next random number (xorshift).
pub fn next(state: &mut u64) -> u64 {
    *state = (*state).max(1);
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
