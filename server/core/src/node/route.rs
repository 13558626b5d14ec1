//! Where the calls of a declaration go: pool and class, decided once and remembered until something changes by which it was decided.

use thornback_types::{Failure, JobId, SessionId, TaskId};

use crate::input::Arg;
use crate::map::{Map, Seed};
use crate::node::Node;
use crate::node::queue::{ClassId, ClassKey};
use crate::node::session::Declared;
use crate::task::{Kind, TaskSpec};

/// Routes that are remembered before all are forgotten. (A session may declare without end.)
const ROUTES_MAX: usize = 4096;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) pool: u32,
    pub(crate) class: ClassId,
    /// Least and most positional arguments, where the function is known.
    arity: Option<(u32, Option<u32>)>,
}

/// What is remembered.
#[derive(Debug)]
pub(crate) struct Routes {
    known: Map<(u64, JobId), Route>,
    /// Grows when all are forgotten.
    age: u64,
}

impl Routes {
    pub(crate) fn new(seed: Seed) -> Routes {
        Routes { known: Map::new(seed), age: 0 }
    }

    /// Where the calls of a declaration go for a job, which is that of its session, if it is remembered.
    pub(crate) fn of(&self, declared: &mut Declared, job: JobId) -> Option<Route> {
        match declared.route {
            Some((age, route)) if age == self.age => Some(route),
            _ => {
                let route = *self.known.get(&(declared.key, job))?;
                declared.route = Some((self.age, route));
                Some(route)
            }
        }
    }
}

impl Node {
    /// The route of a task; `None` if it has to wait for a pool to say what it serves.
    pub(crate) fn route(
        &mut self,
        spec: &TaskSpec,
        submitter: SessionId,
        id: TaskId,
    ) -> Result<Option<Route>, Box<Failure>> {
        let key = (spec.declaration_key, spec.job);
        if let Some(route) = self.routes.known.get(&key).copied() {
            if !route.takes(&spec.args) {
                self.check_arity(route.pool, &spec.declaration, &spec.args)?;
            }
            return Ok(Some(route));
        }
        let Some(pool) = self.pool_for(spec, submitter, id)? else { return Ok(None) };
        let route =
            Route { pool, class: self.class_of(spec, pool), arity: self.arity(pool, &spec.declaration) };
        if self.routes.known.len() >= ROUTES_MAX {
            self.forget_routes();
        }
        self.routes.known.insert(key, route);
        Ok(Some(route))
    }

    /// A pool or a class has come, changed or gone.
    pub(crate) fn forget_routes(&mut self) {
        self.routes.known.clear();
        self.routes.age += 1;
    }

    pub(crate) fn class_of(&mut self, spec: &TaskSpec, pool: u32) -> ClassId {
        self.class_for(ClassKey {
            pool,
            job: spec.job,
            demand: spec.declaration.resources.clone(),
            bundle: spec.declaration.placement,
            dedicated: matches!(spec.kind, Kind::Create(_)),
        })
    }
}

impl Route {
    /// Whether the number of arguments is right beyond doubt.
    pub(crate) fn takes(&self, args: &[Arg]) -> bool {
        let Some((min, max)) = self.arity else { return true };
        args.len() >= min as usize && max.is_none_or(|max| args.len() <= max as usize)
    }
}
