//! The JSON Schema of the settings, so that editors complete and check the files.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

/// The JSON Schema (draft 2020-12) of `T`, as indented JSON. `include` is a key of the loader, so it is added to
/// the keys at the top.
pub fn schema_for<T: JsonSchema>() -> String {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let include = serde_json::json!({
        "description": "files to take over, relative to this one, or `builtin:NAME` for one inside the program; \
                        what this file says itself wins",
        "type": "array",
        "items": { "type": "string" }
    });
    if let Some(serde_json::Value::Object(properties)) =
        schema.as_object_mut().and_then(|object| object.get_mut("properties"))
    {
        properties.insert("include".to_owned(), include);
    }
    // A schema is plain JSON: it always serialises.
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}
