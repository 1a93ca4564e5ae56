variable "issuer" {
  description = "The issuer's URL, exactly as its tokens have it in iss."
  type        = string

  validation {
    condition     = can(regex("^https://[^?#]*[^/?#]$", var.issuer)) && length(var.issuer) <= 255
    error_message = "The issuer is an https URL of at most 255 characters without a trailing slash, query or fragment."
  }
}

variable "audiences" {
  description = "Audiences that AWS takes tokens for."
  type        = list(string)
  default     = ["sts.amazonaws.com"]

  validation {
    condition     = length(var.audiences) >= 1 && length(var.audiences) <= 100
    error_message = "A provider has 1 to 100 audiences."
  }
}

variable "thumbprints" {
  description = "SHA-1 fingerprints of the issuer's certificate authority. Only needed where the certificate is not from a public one."
  type        = list(string)
  default     = null

  validation {
    condition     = var.thumbprints == null || can([for t in var.thumbprints : regex("^[0-9a-fA-F]{40}$", t)])
    error_message = "A thumbprint has 40 hexadecimal digits."
  }
}

variable "tags" {
  description = "Tags of the provider."
  type        = map(string)
  default     = {}
}
