//! Stories of the outbox in virtual time, named by the scenarios and crash windows of `delivery_semantics` §9.5 and §20;
//! a file a theme.

mod dead;
mod doubt;
mod fallback;
mod order;
mod steps;
mod trouble;

use super::samples::Does;
use crate::core::model::{Class, StatementKind};
use crate::core::time::Span;

const P0: Class = Class::P0;
const P1: Class = Class::P1;
const P2: Class = Class::P2;
const P3: Class = Class::P3;

fn receipt(after: i64) -> Does {
    Does::Receipt(StatementKind::Delivered, Span::from_secs(after))
}
