//! The way from a request to its records: which resource and scope each stands in.

use crate::interner::Interner;
use crate::keys::Keys;
use crate::records::{Request, Resource, ResourceEnvelope, ScopeEnvelope};
use crate::value::{key_value, write_value, Value};
use crate::wire::Read;

/// The distinct resources and scopes, each with the schema URL that stands beside it.
#[derive(Default)]
pub struct Envelopes {
    pub resources: Interner,
    pub scopes: Interner,
    services: Vec<Vec<u8>>,
    key: Vec<u8>,
}

/// Where a record stands.
#[derive(Clone, Copy)]
pub struct Place {
    pub resource: u32,
    pub scope: u32,
}

impl Envelopes {
    /// The resource's service name; empty where it has none.
    pub fn service(&self, place: Place) -> &[u8] {
        &self.services[place.resource as usize]
    }

    fn resource(&mut self, bytes: &[u8], schema_url: &[u8], keys: &mut Keys) -> Read<u32> {
        compose(&mut self.key, bytes, schema_url);
        let (number, is_new) = self.resources.number(&self.key);
        if is_new {
            self.services.push(service(bytes, keys)?);
        }
        Ok(number as u32)
    }

    fn scope(&mut self, bytes: &[u8], schema_url: &[u8]) -> u32 {
        compose(&mut self.key, bytes, schema_url);
        self.scopes.number(&self.key).0 as u32
    }
}

/// Calls `each` with every record of the requests and its place.
pub fn for_each_record<'a>(
    requests: &[&'a [u8]],
    keys: &mut Keys,
    envelopes: &mut Envelopes,
    mut each: impl FnMut(&'a [u8], Place, &Envelopes, &mut Keys) -> Read<()>,
) -> Read<()> {
    let mut request = Request::default();
    let mut envelope = ResourceEnvelope::default();
    let mut records = Vec::new();
    for body in requests {
        request.read(body)?;
        for message in &request.resources {
            envelope.read(message)?;
            let resource = envelopes.resource(envelope.resource, envelope.schema_url, keys)?;
            for message in &envelope.scopes {
                records.clear();
                let scope = ScopeEnvelope::of(message, |record| {
                    records.push(record);
                    Ok(())
                })?;
                let place = Place { resource, scope: envelopes.scope(scope.scope, scope.schema_url) };
                for record in &records {
                    each(record, place, envelopes, keys)?;
                }
            }
        }
    }
    Ok(())
}

/// The length of the schema URL (4 bytes, little-endian), the schema URL, the message.
fn compose(key: &mut Vec<u8>, message: &[u8], schema_url: &[u8]) {
    key.clear();
    key.extend_from_slice(&(schema_url.len() as u32).to_le_bytes());
    key.extend_from_slice(schema_url);
    key.extend_from_slice(message);
}

fn service(bytes: &[u8], keys: &mut Keys) -> Read<Vec<u8>> {
    let mut resource = Resource::default();
    resource.read(bytes)?;
    let mut found = Vec::new();
    for pair in &resource.attributes {
        let (key, value) = key_value(pair)?;
        if keys.class(key).is_service_name {
            found.clear();
            match value {
                Value::String(text) => found.extend_from_slice(text),
                Value::Empty => {}
                other => write_value(other, &mut found, 0)?,
            }
        }
    }
    Ok(found)
}
