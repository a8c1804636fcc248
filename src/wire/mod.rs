//! What every adapter shares on its way out: HTTP clients, signatures, and where secrets come from. It knows no
//! channel and no source.

pub mod form;
pub mod http;
pub mod secret;
pub mod sign;
