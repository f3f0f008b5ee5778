//! Options that are written once and serve as command line, configuration file and value.

/// Defines the settings of a stage and, beside them, the same fields as optional arguments of the
/// command line: what the user leaves out there is left to the configuration file and the recipe.
macro_rules! settings {
    (
        $(#[$about:meta])* $settings:ident, $arguments:ident;
        $( $(#[$help:meta])* $field:ident: $type:ty, )*
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $settings {
            $( $(#[$help])* pub $field: $type, )*
        }

        #[doc = concat!("[`", stringify!($settings), "`] as given on the command line.")]
        #[derive(Clone, Debug, Default, PartialEq, clap::Args, serde::Serialize)]
        pub struct $arguments {
            $(
                $(#[$help])*
                #[arg(long)]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )*
        }
    };
}

pub(crate) use settings;
