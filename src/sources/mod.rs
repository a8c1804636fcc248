//! Adapters: what the world says, as observations.
//!
//! [`history`] reads recorded histories. Platforms are one file each: [`platform`] says what it offers, [`sign`] signs its
//! requests, [`poll`] decides what is asked when, [`http`] asks, [`row`] and `loose` read what came. [`config`] is what
//! people write of it, [`tokens`] what a shop is asked with, [`authorisation`] how long that lasts.

pub mod authorisation;
pub mod config;
pub mod douyin;
pub mod form;
pub mod history;
pub mod http;
pub mod jd;
pub mod json;
pub mod kuaidi100;
pub(crate) mod loose;
pub mod parcels;
pub mod pinduoduo;
pub mod platform;
pub mod poll;
pub mod row;
pub mod sign;
pub mod taobao;
pub mod tokens;

pub use config::SourceConfig;
pub use parcels::config::CourierConfig;
