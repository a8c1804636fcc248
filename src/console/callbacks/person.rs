//! Who pressed or wrote: an id of the provider's, and the one person of the roster who is reached by it. Never a name.

use crate::channels::callback::Hears;
use crate::core::alerting::Setup;
use crate::core::model::PersonId;
use crate::core::time::Instant;

/// Why nobody is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unknown {
    /// Nobody of the roster is reached by this id on the channel.
    #[error("no contact on this channel has this id, and callback.people does not name it")]
    Nobody,
    /// Several are, and not one of them alone is on duty.
    #[error("several people share this id, and not exactly one of them is on duty")]
    Several,
}

/// The person with one of these ids on a channel. A phone that is handed on with the shift is of whoever is on duty.
pub(super) fn person_of(
    setup: &Setup,
    hears: &dyn Hears,
    channel: &str,
    ids: &[String],
    now: Instant,
) -> Result<PersonId, Unknown> {
    let known = |address: &str| ids.iter().any(|id| !id.is_empty() && hears.is_user(address, id));
    let named = hears.people().into_iter().flatten().find(|(id, _)| known(id));
    if let Some((_, person)) = named {
        let found = setup.roster.people.get_key_value(person.as_str());
        return found.map(|(id, _)| id.clone()).ok_or(Unknown::Nobody);
    }
    let reached =
        setup.roster.people.iter().filter(|(_, person)| {
            person.contacts.iter().any(|(by, address)| **by == *channel && known(address))
        });
    let all: Vec<&PersonId> = reached.map(|(id, _)| id).collect();
    let on_duty: Vec<&PersonId> =
        all.iter().copied().filter(|person| setup.roster.is_on_duty(person, now)).collect();
    match (all.as_slice(), on_duty.as_slice()) {
        ([], _) => Err(Unknown::Nobody),
        ([one], _) | (_, [one]) => Ok((*one).clone()),
        _ => Err(Unknown::Several),
    }
}
