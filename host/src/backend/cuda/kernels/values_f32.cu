// The values between layers are f32.

typedef float Value;
