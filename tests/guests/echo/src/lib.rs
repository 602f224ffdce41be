//! Takes every WIT type and returns it unchanged: a test of the mapping between YAML, JSON and component values.

wit_bindgen::generate!({ path: ["../../../wit", "wit"], world: "test:echo/echo", generate_all });

struct Echo;

export!(Echo);

impl Guest for Echo {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        Ok(Outputs {
            a_bool: inputs.a_bool,
            a_u8: inputs.a_u8,
            a_u16: inputs.a_u16,
            a_u32: inputs.a_u32,
            a_u64: inputs.a_u64,
            a_s8: inputs.a_s8,
            a_s16: inputs.a_s16,
            a_s32: inputs.a_s32,
            a_s64: inputs.a_s64,
            a_f32: inputs.a_f32,
            a_f64: inputs.a_f64,
            a_char: inputs.a_char,
            a_string: inputs.a_string,
            a_bytes: inputs.a_bytes,
            a_list: inputs.a_list,
            a_nested_list: inputs.a_nested_list,
            a_tuple: inputs.a_tuple,
            a_record: inputs.a_record,
            a_variant: inputs.a_variant,
            an_enum: inputs.an_enum,
            some_flags: inputs.some_flags,
            a_result: inputs.a_result,
            a_bare_result: inputs.a_bare_result,
            a_map: inputs.a_map,
            an_option: inputs.an_option,
            an_option_of_option: inputs.an_option_of_option,
            a_list_of_options: inputs.a_list_of_options,
        })
    }
}
